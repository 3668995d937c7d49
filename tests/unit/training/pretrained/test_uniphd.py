"""Checkpoints as UniPHD and HuMAR write them: their names, their optimiser beside them, and all."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from peopleseg.cli.main import main
from peopleseg.networks.checkpoint import load_network
from peopleseg.networks.referring.network import ReferringNetwork
from peopleseg.networks.referring.original import GraphDecoderLayer
from peopleseg.networks.referring.pyramid import Pyramid, pyramid
from training.pretrained.referring.uniphd import SIZE, import_uniphd
from training.pretrained.referring.uniphd_names import FUSIONS, names_of
from training.pretrained.state_dict import KeysDoNotFit, State, WeightsError

IMAGES = 64  # pixels a side: 85 cells for 20 groups
WIDTH, TOKENS = 256, 18
COORDINATES = [row * 258 + place for row in range(16) for place in (256, 257)]
# Some of the names that the sources give, and the shapes of their values.
OF_ALL = {
    "input_proj.3.0.weight": (256, 256, 3, 3),
    "text_proj.fc.weight": (256, 312),
    "sentence_proj.layer_norm.bias": (256,),
    "glob_prompt_proj.fc.weight": (256, 256),
    "fusion_module.multihead_attn.in_proj_weight": (768, 256),
    "fusion_module.multihead_attn2.out_proj.bias": (256,),
    "mask_refine.conv1_1div8.weight": (16, 80, 3, 3),
    "mask_refine.conv2_1div4.bias": (16,),
    "controller.layers.2.weight": (4416, 256),
    "class_embed.5.weight": (2, 256),
    "bbox_embed.0.layers.2.bias": (4,),
    "pose_embed.3.layers.1.weight": (256, 256),
    "pose_visi_embed.5.bias": (1,),
    "transformer.level_embed": (4, 256),
    "transformer.enc_output_norm.weight": (256,),
    "transformer.enc_out_class_embed.bias": (2,),
    "transformer.enc_pose_embed.layers.3.weight": (34, 512),
    "transformer.decoder.half_pose_ref_point_head.layers.1.weight": (256, 256),
    "transformer.decoder.pose_embed.5.layers.2.weight": (2, 256),
    "text_encoder.text_backbone.encoder.layer.3.output.dense.weight": (312, 1200),
}
OF_SEGFORMER = {
    "backbone.0.backbone.encoder.patch_embeddings.1.proj.weight": (64, 32, 3, 3),
    "backbone.0.backbone.encoder.block.0.1.attention.self.sr.weight": (32, 32, 8, 8),
    "backbone.0.backbone.encoder.block.2.0.attention.output.dense.bias": (160,),
    "backbone.0.backbone.encoder.block.3.1.mlp.dwconv.dwconv.weight": (1024, 1, 3, 3),
    "backbone.0.backbone.encoder.layer_norm.3.weight": (256,),
}
OF_ORIGINAL = {
    "transformer.encoder.layers.5.self_attn.sampling_offsets.weight": (256, 256),
    "transformer.encoder.layers.0.linear2.weight": (256, 2048),
    "transformer.decoder.layers.5.adjacent_matrix": (8, 18, 18),
    "transformer.decoder.layers.2.within_attn.in_proj_bias": (768,),
    "transformer.decoder.layers.2.across_attn.out_proj.weight": (256, 256),
    "transformer.decoder.layers.0.cross_attn.attention_weights.bias": (128,),
    "transformer.decoder.layers.0.linear1_.weight": (2048, 256),
    "transformer.decoder.layers.0.norm2_.weight": (256,),
}
OF_EFFICIENT = {
    "transformer.encoder.local_conv.2.depthwise.weight": (256, 1, 3, 3),
    "transformer.encoder.blocks.3.mlp.3.weight": (256, 512),
    "transformer.decoder.layers.5.within_attn.q_proj.weight": (256, 256),
    "transformer.decoder.layers.5.cross_attn.in_proj_weight": (768, 256),
    "transformer.decoder.layers.5.ffn.3.bias": (256,),
}
OF_LIGHT = {
    "transformer.encoder.stem.bn.running_var": (256,),
    "transformer.encoder.blocks.2.se.3.weight": (512, 128, 1, 1),
    "transformer.encoder.spp.expand.0.weight": (256, 512, 1, 1),
    "transformer.decoder.layers.5.within_kps.ghost2.cheap_operation.0.weight": (128, 1, 3),
    "transformer.decoder.layers.5.across_pw.weight": (256, 256, 1),
    "transformer.decoder.layers.0.ffn_compress.weight": (320, 256),
}
OF_SWIN = {
    "backbone.0.patch_embed.norm.weight": (96,),
    "backbone.0.layers.0.downsample.reduction.weight": (192, 384),
    "backbone.0.layers.2.blocks.5.attn.relative_position_bias_table": (169, 12),
    "backbone.0.layers.3.blocks.1.attn.relative_position_index": (49, 49),
    "backbone.0.norm0.weight": (96,),
    "backbone.0.norm3.bias": (768,),
}
SEVERAL = {
    ("original", "mit_b0"): {**OF_ALL, **OF_SEGFORMER, **OF_ORIGINAL},
    ("efficient", "mit_b0"): {**OF_ALL, **OF_SEGFORMER, **OF_EFFICIENT},
    ("fully_conv_optim", "mit_b0"): {**OF_ALL, **OF_SEGFORMER, **OF_LIGHT},
    ("fully_conv_optim", "swin_tiny"): OF_LIGHT | OF_SWIN,
}


def network_of(design: str, backbone: str = "mit_b0") -> ReferringNetwork:
    """With weights and running statistics that are all different."""
    torch.manual_seed(0)
    network = ReferringNetwork(design, "tinybert", backbone, as_published=True).eval()
    for key, value in network.state_dict().items():
        if value.is_floating_point():
            value.add_(torch.rand_like(value) * (0.1 if key.endswith("running_var") else 0.02))
    return network


def published_state(network: ReferringNetwork) -> State:
    """As the sources write it: joint projections, heads twice, numbers of places, pixels."""
    own = network.state_dict()
    published = names_of(network.dims["transformer"])
    state: State = {published(key): value for key, value in own.items() if "fusion." not in key}
    for one, weights, biases in zip(
        FUSIONS, own["fusion.weights"], own["fusion.biases"], strict=True
    ):
        for kind, values in (("weight", weights), ("bias", biases)):
            state[f"{one}.in_proj_{kind}"] = torch.cat([*values[:3]])
            state[f"{one}.out_proj.{kind}"] = values[3]
    for key in [key for key in state if key.endswith("[query]")]:
        joint = key.removesuffix("[query]")
        parts = [state.pop(f"{joint}[{part}]") for part in ("query", "key", "value")]
        state[joint] = torch.cat(parts)
    for key in [key for key in state if key.startswith(("class_e", "bbox_e", "pose_embed"))]:
        state[f"transformer.decoder.{key}"] = state[key]
    for kind in ("weight", "bias"):
        pixels = state[f"controller.layers.2.{kind}"].clone()
        pixels[COORDINATES] /= SIZE
        state[f"controller.layers.2.{kind}"] = pixels
    for key in [key for key in state if key.endswith("relative_position_bias_table")]:
        state[key.replace("bias_table", "index")] = torch.zeros((49, 49), dtype=torch.int64)
    places = torch.arange(512)[None]
    return {**state, "text_encoder.text_backbone.embeddings.position_ids": places}


def write(state: State, path: Path) -> Path:
    arguments = Namespace(backbone="segformer_mit_b0", num_queries=20, return_interm_indices=[0, 1])
    torch.save({"model": state, "optimizer": {"state": {}}, "epoch": 19, "args": arguments}, path)
    return path


@torch.no_grad()
def answers(network: ReferringNetwork) -> list[Tensor]:
    """Of a text and of points."""
    torch.manual_seed(1)
    images = torch.rand(1, 3, IMAGES, IMAGES)
    points = torch.tensor([[[20.0, 30, 1], [40, 41, 1]]])
    said = network(
        images,
        torch.tensor([0, 0]),
        torch.tensor([True, False]),
        torch.tensor([[2, 5, 7, 3]]),
        torch.ones((1, 4), dtype=torch.int64),
        points,
    )
    return [part for layer in said for part in layer if part is not None]


@pytest.mark.parametrize(("design", "backbone"), SEVERAL)
def test_a_file_of_each_design_gives_the_network_that_it_is_of(
    design: str, backbone: str, tmp_path: Path
) -> None:
    network = network_of(design, backbone)
    state = published_state(network)
    expected = SEVERAL[design, backbone]
    assert {key: tuple(state[key].shape) for key in expected if key in state} == expected
    file = write(state, tmp_path / "checkpoint.pth")
    out = tmp_path / "network.ckpt"
    assert main(["import-weights", "referring", str(file), "--out", str(out)]) == 0
    loaded = load_network(out)
    assert loaded.family == "referring" and loaded.dims == network.dims
    for found, true in zip(answers(loaded.network), answers(network), strict=True):  # type: ignore[arg-type]
        torch.testing.assert_close(found, true, atol=1e-5, rtol=1e-4)


@pytest.fixture(scope="module")
def original() -> State:
    return published_state(network_of("original"))


def without(key: str) -> Callable[[State], State]:
    return lambda state: {k: v for k, v in state.items() if k != key}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without("class_embed.5.bias"), "missing: class_embed.5.bias"),
        (
            without("transformer.decoder.layers.1.within_attn.in_proj_weight"),
            r"missing: transformer.decoder.layers.1.within_attn.in_proj_weight\[key\]",
        ),
        (
            without("fusion_module.multihead_attn2.in_proj_bias"),
            "missing: fusion_module.multihead_attn and fusion_module.multihead_attn2: bias",
        ),
        (lambda state: {**state, "extra.weight": torch.ones(3)}, "unexpected: extra.weight"),
        (
            lambda state: {**state, "class_embed.5.weight": torch.ones(91, 256)},
            r"shape: class_embed.5.weight is \(91, 256\) in the file and \(2, 256\)",
        ),
    ],
)
def test_what_does_not_fit_is_listed(
    change: Callable[[State], State], told: str, original: State, tmp_path: Path
) -> None:
    file = write(change(original), tmp_path / "checkpoint.pth")
    with pytest.raises(KeysDoNotFit, match=told):
        import_uniphd(file)


def test_a_network_with_a_layer_made_anew_each_time_is_refused(tmp_path: Path) -> None:
    state = {"transformer.encoder.spp.branches.0.1.weight": torch.ones(64, 256, 1, 1)}
    with pytest.raises(WeightsError, match="at random, for every image"):
        import_uniphd(write(state, tmp_path / "checkpoint.pth"))


class AsPublished(nn.Module):
    """UniPHD's attentions of a decoder layer, by torch's: positions stay in the tokens."""

    def __init__(self, ours: GraphDecoderLayer) -> None:
        super().__init__()
        self.ours = ours
        self.across, self.within = (
            nn.MultiheadAttention(WIDTH, 8, batch_first=True) for _ in range(2)
        )

    def forward(self, tokens: Tensor, positions: Tensor, places: Tensor, memory: Pyramid) -> Tensor:
        ours = self.ours
        kinds = tokens.transpose(1, 2).flatten(0, 1)
        others = self.across(kinds, kinds, kinds)[0].unflatten(0, (-1, TOKENS)).transpose(1, 2)
        tokens = ours.across_norm(tokens + others)
        tokens += positions
        seen = ours.memory(tokens.flatten(1, 2), places.flatten(1, 2), memory)
        tokens = ours.memory_norm(tokens + seen.view_as(tokens))
        tokens = ours.memory_forward_norm(tokens + ours.memory_forward(tokens))
        tokens += positions
        graph = ours.within.graph.repeat(len(tokens.flatten(0, 1)), 1, 1)
        row = tokens.flatten(0, 1)
        tokens = tokens + self.within(row, row, row, attn_mask=graph)[0].view_as(tokens)
        tokens = ours.within_norm(tokens)
        return ours.within_forward_norm(tokens + ours.within_forward(tokens))  # type: ignore[no-any-return]


@torch.no_grad()
def test_a_decoder_layer_computes_as_the_source_with_its_joint_projections() -> None:
    network = network_of("original")
    layer = network.transformer.layers[0]
    assert isinstance(layer, GraphDecoderLayer)
    nn.init.normal_(layer.within.graph)
    source = AsPublished(layer).eval()
    state = published_state(network)
    for name, attention in (("across", source.across), ("within", source.within)):
        prefix = f"transformer.decoder.layers.0.{name}_attn."
        attention.load_state_dict({k: state[prefix + k] for k in attention.state_dict()})
    tokens, positions = torch.randn(2, 2, 3, TOKENS, WIDTH)
    places = torch.rand(2, 3, TOKENS, 2)
    memory = pyramid([torch.randn(2, WIDTH, side, side) for side in (8, 4, 2, 1)])
    found = layer(tokens, positions, places, memory)
    true = source(tokens.clone(), positions, places, memory)
    torch.testing.assert_close(found, true, atol=1e-4, rtol=1e-4)
    layer.as_published = False
    assert not torch.allclose(layer(tokens, positions, places, memory), true, atol=1e-2)
