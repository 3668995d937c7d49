"""What `import-weights` imports for the semantic system; see training.pretrained.kinds."""

KINDS: dict[str, tuple[str, ...]] = {"deeplab": ()}
