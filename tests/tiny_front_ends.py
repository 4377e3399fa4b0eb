"""Tiny random front ends in the format of Hugging Face, which a test writes into a folder.

The weights are numbers of numpy's generator in the order of their names, so every machine has the
same ones. ``fixtures/front_ends.json`` has what transformers 5.24 computed with them on ``sound``:
for each layer, frame 3 of the hidden state. Made with:
``{k: WavLMModel.from_pretrained(folder)(torch.tensor(sound())[None], output_hidden_states=True)}``.
"""

import json

import numpy as np

COMMON = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8, 8, 8],
    "conv_kernel": [10, 8, 4],
    "conv_stride": [5, 8, 4],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 6,
    "num_conv_pos_embedding_groups": 2,
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
    "layer_norm_eps": 1e-5,
}
KINDS = {
    "wavlm": {"model_type": "wavlm", "num_buckets": 8, "max_bucket_distance": 20},
    "wav2vec2": {
        "model_type": "wav2vec2",
        "feat_extract_norm": "layer",
        "conv_bias": True,
        "do_stable_layer_norm": True,
    },
    "hubert": {"model_type": "hubert"},
}


def shapes(kind):
    """Return name -> shape of the weights, with Hugging Face's names."""
    own, hidden, wide = KINDS[kind], COMMON["hidden_size"], COMMON["intermediate_size"]
    found, inputs = {}, 1
    for layer, (width, size) in enumerate(
        zip(COMMON["conv_dim"], COMMON["conv_kernel"], strict=True)
    ):
        name = f"feature_extractor.conv_layers.{layer}."
        found[f"{name}conv.weight"] = (width, inputs, size)
        if own.get("conv_bias"):
            found[f"{name}conv.bias"] = (width,)
        if layer == 0 or own.get("feat_extract_norm") == "layer":
            found |= {f"{name}layer_norm.{part}": (width,) for part in ("weight", "bias")}
        inputs = width
    position = "encoder.pos_conv_embed.conv."
    size, groups = COMMON["num_conv_pos_embeddings"], COMMON["num_conv_pos_embedding_groups"]
    found[f"{position}parametrizations.weight.original0"] = (1, 1, size)
    found[f"{position}parametrizations.weight.original1"] = (hidden, hidden // groups, size)
    found[f"{position}bias"] = (hidden,)
    linear = {"feature_projection.projection": (hidden, inputs)}
    norms = {"feature_projection.layer_norm": inputs, "encoder.layer_norm": hidden}
    for number in range(COMMON["num_hidden_layers"]):
        name = f"encoder.layers.{number}."
        linear |= {f"{name}attention.{x}_proj": (hidden, hidden) for x in ("k", "v", "q", "out")}
        linear[f"{name}feed_forward.intermediate_dense"] = (wide, hidden)
        linear[f"{name}feed_forward.output_dense"] = (hidden, wide)
        norms |= {f"{name}{norm}": hidden for norm in ("layer_norm", "final_layer_norm")}
        if kind == "wavlm":
            heads = COMMON["num_attention_heads"]
            linear[f"{name}attention.gru_rel_pos_linear"] = (8, hidden // heads)
            found[f"{name}attention.gru_rel_pos_const"] = (1, heads, 1, 1)
            if number == 0:
                found[f"{name}attention.rel_attn_embed.weight"] = (own["num_buckets"], heads)
    for name, shape in linear.items():
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, width in norms.items():
        found |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return found


def write(folder, kind="wavlm", prefix="", **config):
    """Write config.json and model.safetensors; return the folder. ``config`` replaces values."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**COMMON, **KINDS[kind], **config}))
    generator, weights = np.random.default_rng(0), {}
    for name, shape in sorted(shapes(kind).items()):
        values = 0.3 * generator.standard_normal(shape)
        grows = name.endswith(("norm.weight", "original0", "gru_rel_pos_const"))
        weights[prefix + name] = (values + grows).astype(np.float32)
    weights["masked_spec_embed"] = np.zeros(COMMON["hidden_size"], np.float32)
    save_file(weights, folder / "model.safetensors")
    return folder


def sound(samples=2400, seed=0):
    """Return a waveform (samples,) float32 in [-1, 1]."""
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)
