"""What `import-weights` imports for the people system; see training.pretrained.kinds."""

KINDS: dict[str, tuple[str, ...]] = {
    "people_unet": (),
    "hierarchical_head": ("roi_size",),
    "yolov9": ("keep_class",),
}
