"""What the sources of UniPHD and HuMAR call the weights of a referring network.

Tables of the starts of names, ours and theirs; # is a number that both have. What follows the
start is the same.
"""

import re
from collections.abc import Callable, Mapping

Names = Mapping[str, str]

FUSIONS = ("fusion_module.multihead_attn", "fusion_module.multihead_attn2")


def perceptron(ours: str, theirs: str, layers: int) -> Names:
    """Ours counts what is between the linear layers, too."""
    return {f"{ours}.{2 * n}": f"{theirs}.layers.{n}" for n in range(layers)}


def attention(ours: str, theirs: str) -> Names:
    """Of torch's, whose projections in are one weight: `in_proj_weight[query]` and so on."""
    projections = {
        f"{ours}.{part}.{kind}": f"{theirs}.in_proj_{kind}[{part}]"
        for part in ("query", "key", "value")
        for kind in ("weight", "bias")
    }
    return {**projections, f"{ours}.out": f"{theirs}.out_proj"}


def deformable(ours: str, theirs: str) -> Names:
    return {
        f"{ours}.offsets": f"{theirs}.sampling_offsets",
        f"{ours}.weights": f"{theirs}.attention_weights",
        f"{ours}.value": f"{theirs}.value_proj",
        f"{ours}.out": f"{theirs}.output_proj",
    }


def below(ours: str, theirs: str, names: Names) -> Names:
    return {f"{ours}.{key}": f"{theirs}.{value}" for key, value in names.items()}


SWIN: Names = {  # which halves its maps at a stage's end there
    **{
        f"backbone.model.encoder.layers_{n + 1}.downsample": f"backbone.0.layers.{n}.downsample"
        for n in range(3)
    },
    "backbone.model.encoder.layers_#": "backbone.0.layers.#",
    "backbone.model.encoder.patch_embed": "backbone.0.patch_embed",
    "backbone.model.norms.#.weight": "backbone.0.norm#.weight",
    "backbone.model.norms.#.bias": "backbone.0.norm#.bias",
    "backbone.model.last_norm": "backbone.0.norm3",
}
SEGFORMER: Names = {
    **below(
        "backbone.model.encoder.stages.#.blocks.#",
        "backbone.0.backbone.encoder.block.#.#",
        {
            "layernorm_before": "layer_norm_1",
            "layernorm_after": "layer_norm_2",
            "attention.q_proj": "attention.self.query",
            "attention.k_proj": "attention.self.key",
            "attention.v_proj": "attention.self.value",
            "attention.o_proj": "attention.output.dense",
            "attention.sequence_reduction.sequence_reduction": "attention.self.sr",
            "attention.sequence_reduction.layer_norm": "attention.self.layer_norm",
            "mlp.fc1": "mlp.dense1",
            "mlp.fc2": "mlp.dense2",
            "mlp.dwconv": "mlp.dwconv",
        },
    ),
    "backbone.model.encoder.stages.#.patch_embeddings": (
        "backbone.0.backbone.encoder.patch_embeddings.#"
    ),
    "backbone.model.encoder.stages.#.layer_norm": "backbone.0.backbone.encoder.layer_norm.#",
}
COMMON: Names = {
    "text_encoder.model": "text_encoder.text_backbone",
    "projections": "input_proj",
    "text_prompts.words.0": "text_proj.fc",
    "text_prompts.words.1": "text_proj.layer_norm",
    "text_prompts.sentence.0": "sentence_proj.fc",
    "text_prompts.sentence.1": "sentence_proj.layer_norm",
    "point_prompts.points.0": "prompt_proj.fc",
    "point_prompts.points.1": "prompt_proj.layer_norm",
    "point_prompts.sentence.0": "glob_prompt_proj.fc",
    "point_prompts.sentence.1": "glob_prompt_proj.layer_norm",
    "fusion.weights": f"{' and '.join(FUSIONS)}: weight",
    "fusion.biases": f"{' and '.join(FUSIONS)}: bias",
    "transformer.level_embedding": "transformer.level_embed",
    "transformer.keypoint_embedding": "transformer.keypoint_embedding",
    **perceptron("transformer.place", "transformer.decoder.half_pose_ref_point_head", 2),
    "transformer.proposals.project": "transformer.enc_output",
    "transformer.proposals.norm": "transformer.enc_output_norm",
    "transformer.proposals.referred": "transformer.enc_out_class_embed",
    **perceptron("transformer.proposals.keypoints", "transformer.enc_pose_embed", 4),
    "transformer.heads.#.referred": "class_embed.#",
    **perceptron("transformer.heads.#.box", "bbox_embed.#", 3),
    **perceptron("transformer.heads.#.keypoints", "pose_embed.#", 3),
    "transformer.heads.#.visibility": "pose_visi_embed.#",
    **perceptron("mask_head.controller", "controller", 3),
    "mask_head.refine_8.both": "mask_refine.conv1_1div8",
    "mask_head.refine_8.more": "mask_refine.conv2_1div8",
    "mask_head.refine_4.both": "mask_refine.conv1_1div4",
    "mask_head.refine_4.more": "mask_refine.conv2_1div4",
}
ENCODER_LAYER: Names = {
    **deformable("attention", "self_attn"),
    "attention_norm": "norm1",
    "forward_layers.0": "linear1",
    "forward_layers.2": "linear2",
    "forward_norm": "norm2",
}
DECODER_LAYER: Names = {
    **attention("across", "across_attn"),
    "across_norm": "across_norm",
    **deformable("memory", "cross_attn"),
    "memory_norm": "norm1",
    "memory_forward.0": "linear1",
    "memory_forward.2": "linear2",
    "memory_forward_norm": "norm2",
    **attention("within.attention", "within_attn"),
    "within.graph": "adjacent_matrix",
    "within_norm": "within_norm",
    "within_forward.0": "linear1_",
    "within_forward.2": "linear2_",
    "within_forward_norm": "norm2_",
}
SEPARABLE: Names = {"each": "depthwise", "all": "pointwise", "norm": "bn"}
EFFICIENT_ENCODER: Names = {
    **below("local.#", "local_conv.#", SEPARABLE),
    "layers.#.attention_norm": "blocks.#.norm1",
    "layers.#.attention.qkv": "blocks.#.attn.qkv",
    "layers.#.attention.out": "blocks.#.attn.proj",
    "layers.#.forward_norm": "blocks.#.norm2",
    "layers.#.forward_layers.0": "blocks.#.mlp.0",
    "layers.#.forward_layers.2": "blocks.#.mlp.3",
    "norm": "norm",
}
EFFICIENT_LAYER: Names = {
    "within.query": "within_attn.q_proj",
    "within.key": "within_attn.k_proj",
    "within.value": "within_attn.v_proj",
    "within.out": "within_attn.out_proj",
    "within_norm": "within_norm",
    "across.qkv": "across_attn.qkv",
    "across.out": "across_attn.proj",
    "across_norm": "across_norm",
    **attention("memory", "cross_attn"),
    "memory_norm": "cross_norm",
    "forward_layers.0": "ffn.0",
    "forward_layers.2": "ffn.3",
    "forward_norm": "ffn_norm",
}
LIGHT_ENCODER: Names = {
    **below("stem", "stem", SEPARABLE),
    "layers.#.expand.0": "blocks.#.compress",
    "layers.#.expand.1": "blocks.#.bn1",
    "layers.#.each.0": "blocks.#.dwconv",
    "layers.#.each.1": "blocks.#.bn2",
    "layers.#.excite": "blocks.#.se",
    "layers.#.project.0": "blocks.#.expand",
    "layers.#.project.1": "blocks.#.bn3",
    "pool.squeeze": "spp.compress",
    "pool.project": "spp.expand",
    "norm": "norm",
}
LIGHT_LAYER: Names = {
    "within.0.first": "within_kps.ghost1.primary_conv",
    "within.0.cheap": "within_kps.ghost1.cheap_operation",
    "within.1": "within_kps.dwconv",
    "within.2.first": "within_kps.ghost2.primary_conv",
    "within.2.cheap": "within_kps.ghost2.cheap_operation",
    "within_norm": "within_kps.norm",
    "across.0": "across_dw",
    "across.1": "across_pw",
    "across.2": "across_norm",
    "memory.0": "cross_compress",
    "memory.1": "cross_expand",
    "memory.2": "cross_norm",
    "forward_layers.0": "ffn_compress",
    "forward_layers.2": "ffn_expand",
    "forward_layers.3": "ffn_norm",
}
_DESIGNS: Mapping[str, tuple[Names, Names]] = {  # an encoder's, and a decoder layer's
    "original": (below("layers.#", "layers.#", ENCODER_LAYER), DECODER_LAYER),
    "efficient": (EFFICIENT_ENCODER, EFFICIENT_LAYER),
    "fully_conv_optim": (LIGHT_ENCODER, LIGHT_LAYER),
}
DESIGNS = tuple(_DESIGNS)


def names_of(design: str) -> Callable[[str], str]:
    """What tells the published name of one of our state dict's entries, of one of DESIGNS."""
    encoder, layer = _DESIGNS[design]
    table = {
        **SWIN,
        **SEGFORMER,
        **COMMON,
        **below("transformer.encoder", "transformer.encoder", encoder),
        **below("transformer.layers.#", "transformer.decoder.layers.#", layer),
    }
    rules = [
        (re.compile(re.escape(ours).replace(r"\#", r"(\d+)") + r"(?=\.|$)"), theirs)
        for ours, theirs in table.items()
    ]

    def published(key: str) -> str:
        for pattern, theirs in rules:
            if found := pattern.match(key):
                for number in found.groups():
                    theirs = theirs.replace("#", number, 1)
                return theirs + key[found.end() :]
        return key

    return published
