"""The four transformers: as large as published; prompts do not see one another."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from peopleseg.networks.referring.designs import TRANSFORMERS
from peopleseg.networks.referring.fully_conv import part_means
from peopleseg.networks.referring.layers import Attention, LinearAttention, run
from peopleseg.networks.referring.original import GraphDecoderLayer
from peopleseg.networks.referring.outputs import RefOutput
from peopleseg.networks.referring.pose_transformer import Decoded, PoseTransformer
from peopleseg.networks.referring.positions import cell_centres, point_sines
from peopleseg.networks.referring.pyramid import Pyramid, pyramid
from tests.unit.peopleseg.networks.referring.recorded import count

WITH_HEADS = {
    "original": 27_343_636,
    "efficient": 11_029_588,
    "fully_conv": 12_335_700,
    "fully_conv_optim": 6_070_676,
}
BARE = {
    "original": 25_077_440,
    "efficient": 8_763_392,
    "fully_conv": 10_069_504,
    "fully_conv_optim": 3_804_480,
}
LAYERS = {  # of the decoder
    "original": 2_863_520,
    "efficient": 1_052_928,
    "fully_conv": 1_382_400,
    "fully_conv_optim": 349_856,
}
SIZES = ((8, 8), (4, 4), (2, 2), (1, 1))


def maps(prompts: int) -> Pyramid:
    return pyramid([torch.randn(prompts, 256, *size) for size in SIZES])


@pytest.fixture(scope="module", params=TRANSFORMERS)
def transformer(request: pytest.FixtureRequest) -> Iterator[PoseTransformer]:
    torch.manual_seed(0)
    found = TRANSFORMERS[request.param](20).eval()
    with torch.no_grad():  # heads that say something, and norms that have seen something
        for heads in found.heads:
            for values in heads.parameters():
                values.add_(torch.randn_like(values) * 0.05)
        for seen in found.buffers():
            if seen.is_floating_point():
                seen.add_(torch.rand_like(seen))
    yield found


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_parameters_are_as_many_as_published(name: str) -> None:
    with torch.device("meta"):
        found = TRANSFORMERS[name](20)
    visibility = [count(heads.get_submodule("visibility")) for heads in found.heads]
    assert sum(visibility) == 1_542
    assert count(found) - sum(visibility) == WITH_HEADS[name]
    proposals = found.proposals
    of_heads = count(found.heads) + count(proposals.referred) + count(proposals.keypoints)
    assert count(found) - of_heads == BARE[name]
    assert {count(layer) for layer in found.layers} == {LAYERS[name]}


def test_heads_have_as_many_parameters_as_published() -> None:
    with torch.device("meta"):
        found = TRANSFORMERS["fully_conv_optim"](20)
    parts = {
        name: sum(count(getattr(heads, name)) for heads in found.heads)
        for name in ("referred", "box", "keypoints")
    }
    assert parts == {"referred": 3_084, "box": 795_672, "keypoints": 792_588}
    assert count(found.proposals.keypoints) == 674_338


@torch.no_grad()
def test_answers_have_the_shapes_and_ranges_that_are_promised(
    transformer: PoseTransformer,
) -> None:
    found = transformer(maps(3), torch.randn(3, 256))
    assert len(found.layers) == 6
    for output in found.layers:
        assert output.logits.shape == (3, 20, 2)
        assert output.boxes_cxcywh is not None and output.boxes_cxcywh.shape == (3, 20, 4)
        assert output.visibility is not None and output.visibility.shape == (3, 20, 17)
        assert output.keypoints.shape == (3, 20, 17, 2) and output.masks is None
        for values in (output.boxes_cxcywh, output.keypoints):
            assert values.min() > 0 and values.max() < 1
    proposals = found.proposals
    assert proposals.logits.shape == (3, 20, 2) and proposals.keypoints.shape == (3, 20, 17, 2)
    assert proposals.boxes_cxcywh is None and proposals.visibility is None
    best = proposals.logits[..., 0]
    assert torch.equal(best, best.sort(dim=1, descending=True).values)


@torch.no_grad()
def test_a_prompt_is_answered_among_ten_as_alone(transformer: PoseTransformer) -> None:
    torch.manual_seed(1)
    levels, sentences = maps(10), torch.randn(10, 256)
    together = transformer(levels, sentences)
    alone = transformer(levels.with_tokens(levels.tokens[7, None]), sentences[7, None])
    torch.testing.assert_close(of_row(together, 7), tensors(alone), atol=2e-4, rtol=1e-3)


@torch.no_grad()
def test_the_prompt_changes_the_answer(transformer: PoseTransformer) -> None:
    torch.manual_seed(1)
    levels = maps(1)
    answers = [transformer(levels, torch.randn(1, 256)) for _ in range(2)]
    proposals = [answer.proposals.keypoints for answer in answers]
    assert torch.equal(*proposals)  # of the maps alone
    last = [answer.layers[-1].logits for answer in answers]
    assert (last[0] - last[1]).abs().max() > 1e-3


def test_layers_start_where_those_before_them_ended(transformer: PoseTransformer) -> None:
    found = transformer(maps(1), torch.randn(1, 256))
    torch.testing.assert_close(found.centres, found.layers[-2].keypoints.mean(dim=2))
    # A layer learns of what the next one says, and of no later one.
    bias = [heads.keypoints.last.bias for heads in transformer.heads]  # type: ignore[union-attr]
    said = found.layers[-1].keypoints.sum()
    pulls = torch.autograd.grad(said, bias, allow_unused=True)  # type: ignore[arg-type]
    assert [pull is not None for pull in pulls] == [False] * 4 + [True] * 2


def test_all_that_is_there_learns_and_the_same_if_computed_twice(
    transformer: PoseTransformer,
) -> None:
    torch.manual_seed(1)
    levels, sentence = maps(1), torch.randn(1, 256)
    named = dict(transformer.named_parameters())
    learned = []
    for recompute in (False, True):
        transformer.recompute = recompute
        loss = loss_of(transformer(levels, sentence))
        learned.append(torch.autograd.grad(loss, list(named.values()), allow_unused=True))
    transformer.recompute = False
    assert not [name for name, pull in zip(named, learned[0], strict=True) if pull is None]
    torch.testing.assert_close(learned[0], learned[1])


def test_a_layer_is_run_twice_for_its_gradient_unless_it_counts_batches() -> None:
    class Counting(torch.nn.Module):
        def __init__(self, norm: torch.nn.Module) -> None:
            super().__init__()
            self.norm, self.runs = norm, 0

        def forward(self, values: Tensor) -> Tensor:
            self.runs += 1
            return self.norm(values)  # type: ignore[no-any-return]

    values = torch.randn(4, 3, requires_grad=True)
    for norm, runs in ((torch.nn.LayerNorm(3), 2), (torch.nn.BatchNorm1d(3), 1)):
        layer = Counting(norm)
        run(layer, values, recompute=True).sum().backward()
        assert layer.runs == runs


def test_groups_answer_by_their_own_graph() -> None:
    torch.manual_seed(0)
    layer = GraphDecoderLayer().eval()
    tokens, places = torch.randn(1, 3, 18, 256), torch.rand(1, 3, 18, 2)
    memory, positions = maps(1), torch.zeros(1, 3, 18, 256)
    before = layer(tokens, positions, places, memory)
    with torch.no_grad():
        layer.within.graph[:, :, 5] = -1e9  # nobody looks at token 5
    torch.testing.assert_close(
        layer.within(*2 * (tokens.flatten(0, 1),)),
        without(layer.within.attention, tokens.flatten(0, 1), 5),
        atol=1e-5,
        rtol=1e-4,
    )
    assert (layer(tokens, positions, places, memory) - before).abs().max() > 1e-4


def test_linear_attention_is_that_of_all_pairs() -> None:
    torch.manual_seed(0)
    layer, tokens = LinearAttention(heads=2, width=8), torch.randn(2, 5, 8)
    query, key, value = layer.qkv(tokens).chunk(3, dim=-1)
    found = torch.zeros(2, 5, 8)
    for head in (slice(0, 4), slice(4, 8)):
        queries, keys = query[..., head].relu(), key[..., head].relu()
        keys = keys / (keys.sum(dim=1, keepdim=True) + 1e-6)
        found[..., head] = (queries @ keys.transpose(1, 2)) @ value[..., head]
    torch.testing.assert_close(layer(tokens), layer.out(found))


@pytest.mark.parametrize("cells", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (6, 12), (10, 40)])
def test_means_of_parts_are_those_of_adaptive_pooling(size: tuple[int, int], cells: int) -> None:
    torch.manual_seed(0)
    values = torch.randn(2, 3, *size)
    torch.testing.assert_close(part_means(values, cells), F.adaptive_avg_pool2d(values, cells))


def test_positions_are_those_of_a_slow_loop() -> None:
    (x, y), channels, temperature = (0.25, 0.7), 8, 20.0
    expected = []
    for value in (y, x):
        for pair in range(channels // 4):
            angle = torch.tensor(2 * torch.pi * value / temperature ** (4 * pair / channels))
            expected += [angle.sin(), angle.cos()]
    found = point_sines(torch.tensor([x, y]), temperature, channels)
    torch.testing.assert_close(found, torch.stack(expected))
    centres = cell_centres((2, 3), found)
    torch.testing.assert_close(centres[4], torch.tensor([0.5, 0.75]))


def without(attention: Attention, tokens: Tensor, left_out: int) -> Tensor:
    others = [index for index in range(tokens.shape[1]) if index != left_out]
    return attention(tokens, tokens[:, others], tokens[:, others])  # type: ignore[no-any-return]


def loss_of(decoded: Decoded) -> Tensor:
    return torch.stack([values.float().square().mean() for values in tensors(decoded)]).sum()


def tensors(decoded: Decoded) -> list[Tensor]:
    outputs: list[RefOutput] = [*decoded.layers, decoded.proposals]
    found = [values for output in outputs for values in output if values is not None]
    return [*found, decoded.memory.tokens, decoded.queries, decoded.centres]


def of_row(decoded: Decoded, row: int) -> list[Tensor]:
    return [values[row, None] for values in tensors(decoded)]
