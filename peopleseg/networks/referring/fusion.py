"""Tell the maps of an image what the prompt says, cell by cell."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peopleseg.networks.referring.layers import in_heads, of_heads
from peopleseg.networks.referring.positions import WIDTH
from peopleseg.networks.referring.prompts import Prompts
from peopleseg.networks.referring.pyramid import Pyramid

HEADS = 8
KINDS = 2  # expressions and points, each with weights of its own
_NOWHERE = -1e4  # what is added to the score of no token; FP16 holds it


class PromptFusion(nn.Module):
    """Every cell attends to the prompt's tokens, and what it finds is added: 526,336 parameters.

    Prompts of both kinds may come together: each takes the weights of its kind.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.empty(KINDS, 4, WIDTH, WIDTH))  # query, key, value, out
        self.biases = nn.Parameter(torch.zeros(KINDS, 4, WIDTH))
        for weight in self.weights.flatten(0, 1):
            nn.init.xavier_uniform_(weight)

    def forward(self, maps: Pyramid, prompts: Prompts) -> Pyramid:
        kind = (~prompts.is_text).long()
        weights, biases = self.weights[kind], self.biases[kind]  # [P, 4, 256, 256], [P, 4, 256]

        def project(tokens: Tensor, which: int) -> Tensor:
            return torch.baddbmm(biases[:, which, None], tokens, weights[:, which].transpose(1, 2))

        queries = in_heads(project(maps.tokens, 0), HEADS)
        keys = in_heads(project(prompts.tokens + prompts.positions, 1), HEADS)
        values = in_heads(project(prompts.tokens, 2), HEADS)
        nowhere = prompts.padding[:, None, None].to(queries.dtype) * _NOWHERE
        seen = F.scaled_dot_product_attention(queries, keys, values, attn_mask=nowhere)
        return maps.with_tokens(maps.tokens + project(of_heads(seen), 3))
