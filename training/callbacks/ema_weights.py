"""Average the weights over the steps: the average is what is validated and saved."""

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class EmaWeights(WeightAveraging):
    """Exponential moving average of weights and norm statistics.

    The decay rises to its value over the first steps, as in YOLOv5 and later, so that a short
    training is not averaged with its random start. The checkpoint's `state_dict` is the average;
    the training goes on from its `current_model_state`.
    """

    def __init__(self, decay: float = 0.999) -> None:
        def average(mean: Tensor, value: Tensor, steps: Tensor | int) -> Tensor:
            count = int(steps)
            rising = min(decay, (1 + count) / (10 + count))
            return mean + (value - mean) * (1 - rising)

        super().__init__(avg_fn=average)
