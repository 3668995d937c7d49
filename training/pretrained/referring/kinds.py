"""What `import-weights` imports for the referring system; see training.pretrained.kinds."""

KINDS: dict[str, tuple[str, ...]] = {"referring": (), "text_encoder": ()}
