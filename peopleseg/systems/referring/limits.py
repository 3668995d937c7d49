"""How many prompts one request may have."""

from peopleseg.errors import InvalidInput
from peopleseg.systems.referring.contract import MAX_PROMPTS


def check_prompts(tensor: str, count: int) -> None:
    """tensor: the name of the one that has them. Raises InvalidInput."""
    if not 1 <= count <= MAX_PROMPTS:
        raise InvalidInput(f"{tensor} has {count} prompts, expected 1 to {MAX_PROMPTS}")
