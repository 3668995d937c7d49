"""Images that are at hand for a first try."""

from pathlib import Path

# In scikit-image's wheel, free of copyright: the astronaut Eileen Collins in colour, a man with a
# camera in grey, and a cup of coffee, with nobody.
EXAMPLES = ("astronaut.png", "camera.png", "coffee.png")


def example_images() -> list[Path]:
    """Files of scikit-image's wheel; nothing is downloaded."""
    import skimage.data

    folder = Path(skimage.data.__file__).parent
    return [folder / name for name in EXAMPLES]
