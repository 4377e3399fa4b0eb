"""WavLM, wav2vec 2.0 and HuBERT from a folder in the format of Hugging Face.

The folder has ``config.json`` and ``model.safetensors``; ``preprocessor_config.json`` is optional.
The network is torchaudio's (``torchaudio.models``). Nothing is downloaded, and no file is read that
could run code: pickles (``.bin``, ``.pt``) are refused.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sv.errors import InputError
from sv.text import read_text

CONFIG, WEIGHTS, PREPROCESSOR = "config.json", "model.safetensors", "preprocessor_config.json"
MODEL_TYPES = ("wavlm", "wav2vec2", "hubert")
PARTS = ("feature_extractor.", "feature_projection.", "encoder.")
"""First words of the weights that we use. Others are heads, or serve the masks of pretraining."""
SAME = {  # key of config.json -> the only value that torchaudio's network has
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
    "layer_norm_eps": 1e-5,
    "add_adapter": False,
    "adapter_attn_dim": None,
    "feat_proj_layer_norm": True,
    "conv_pos_batch_norm": False,
}
ARGUMENTS = {  # key of config.json -> argument of torchaudio.models
    "conv_bias": "extractor_conv_bias",
    "hidden_size": "encoder_embed_dim",
    "feat_proj_dropout": "encoder_projection_dropout",
    "num_conv_pos_embeddings": "encoder_pos_conv_kernel",
    "num_conv_pos_embedding_groups": "encoder_pos_conv_groups",
    "num_hidden_layers": "encoder_num_layers",
    "num_attention_heads": "encoder_num_heads",
    "attention_dropout": "encoder_attention_dropout",
    "intermediate_size": "encoder_ff_interm_features",
    "activation_dropout": "encoder_ff_interm_dropout",
    "hidden_dropout": "encoder_dropout",
    "do_stable_layer_norm": "encoder_layer_norm_first",
}
WAVLM_ARGUMENTS = {
    "num_buckets": "encoder_num_buckets",
    "max_bucket_distance": "encoder_max_distance",
}
DEFAULTS = {  # values that Hugging Face leaves out of config.json if they are these
    "conv_bias": False,
    "feat_proj_dropout": 0.0,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
    "attention_dropout": 0.1,
    "activation_dropout": 0.1,
    "hidden_dropout": 0.1,
    "do_stable_layer_norm": False,
    "feat_extract_norm": "group",
    "num_buckets": 320,
    "max_bucket_distance": 800,
}


def read_architecture(folder: str | Path) -> dict[str, Any]:
    """Return what ``build`` needs, with the sample rate, and whether waveforms are normalised.

    Raises ``InputError`` if a file is missing or a pickle, or if the network is another one.
    """
    folder = Path(folder)
    _require(folder)
    config = _json(folder / CONFIG)
    kind = config.get("model_type")
    if kind not in MODEL_TYPES:
        raise InputError(
            f"{folder / CONFIG}: model_type is {kind!r}; known are {', '.join(MODEL_TYPES)}"
        )
    for key, value in SAME.items():
        if config.get(key, value) != value:
            raise InputError(
                f"{folder / CONFIG}: {key} is {config[key]!r}, and only {value!r} is implemented: "
                "take another model"
            )
    found = {**DEFAULTS, **config}
    try:
        layers = list(zip(*(found[f"conv_{x}"] for x in ("dim", "kernel", "stride")), strict=True))
        keys = [*ARGUMENTS, *(WAVLM_ARGUMENTS if kind == "wavlm" else ())]
        architecture = {"model_type": kind, **{key: found[key] for key in keys}}
        norm = str(found["feat_extract_norm"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder / CONFIG} lacks a value, or has a wrong one: {error}") from None
    heard = _json(folder / PREPROCESSOR) if (folder / PREPROCESSOR).exists() else {}
    return architecture | {
        "conv_layers": layers,
        "feat_extract_norm": norm,
        "sample_rate": heard.get("sampling_rate", 16000),
        "normalise": bool(heard.get("do_normalize", norm == "layer")),
    }


def _require(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(
            f"model.folder {folder} is no folder: give one with {CONFIG} and {WEIGHTS}, which you "
            "copied there; nothing is downloaded"
        )
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if not missing:
        return
    names = sorted(path.name for path in folder.iterdir())
    pickles = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    hint = ""
    if WEIGHTS in missing and pickles:
        hint = (
            f": {pickles[0]} is a pickle, which can run code and is not read; save the weights as "
            f"{WEIGHTS} (in transformers: model.save_pretrained(DIR, safe_serialization=True))"
        )
    elif WEIGHTS in missing and any(name.endswith(".safetensors") for name in names):
        hint = f": join the weights in one file named {WEIGHTS}"
    raise InputError(f"model.folder {folder} lacks {' and '.join(missing)}{hint}")


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}); copy it again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a JSON object; copy it again")
    return content


def build(architecture: dict[str, Any]) -> nn.Module:
    """Return torchaudio's network with fresh weights; its layers are never dropped."""
    from torchaudio.models import wav2vec2_model, wavlm_model

    wavlm = architecture["model_type"] == "wavlm"
    names = {**ARGUMENTS, **(WAVLM_ARGUMENTS if wavlm else {})}
    return (wavlm_model if wavlm else wav2vec2_model)(
        **{argument: architecture[key] for key, argument in names.items()},
        extractor_mode=f"{architecture['feat_extract_norm']}_norm",
        extractor_conv_layer_config=[tuple(layer) for layer in architecture["conv_layers"]],
        encoder_layer_drop=0.0,
        aux_num_out=None,
    )


def load_weights(network: nn.Module, folder: str | Path, architecture: dict[str, Any]) -> None:
    """Copy the weights of the folder into the network of ``build``, as float32.

    Raises ``InputError`` if the file is damaged or of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(folder) / WEIGHTS
    try:
        given = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged, or no safetensors ({error}); copy it again") from None
    kind = architecture["model_type"]
    weights = {name.removeprefix(f"{kind}."): value.float() for name, value in given.items()}
    weights = {name: value for name, value in weights.items() if name.startswith(PARTS)}
    if kind == "wavlm":
        _join_projections(weights, architecture["num_hidden_layers"])
    try:
        network.load_state_dict({_our_name(name): value for name, value in weights.items()})
    except RuntimeError as error:
        raise InputError(
            f"{path} does not fit {CONFIG}: {' '.join(str(error).split())[:300]}"
        ) from None


def _our_name(name: str) -> str:
    """Return torchaudio's name of a weight of Hugging Face."""
    for first, ours in (("encoder.", "encoder.transformer."), ("feature_projection.", "encoder.")):
        if name.startswith(first):
            return name.replace(first, ours, 1) if first == "encoder." else ours + name
    return name


def _join_projections(weights: dict[str, Tensor], layers: int) -> None:
    """Join query, key and value of WavLM's attention, which torchaudio has in one matrix."""
    for layer in range(layers):
        attention = f"encoder.layers.{layer}.attention."
        for part in ("weight", "bias"):
            names = [f"{attention}{letter}_proj.{part}" for letter in "qkv"]
            if all(name in weights for name in names):
                joined = torch.cat([weights.pop(name) for name in names])
                weights[f"{attention}attention.in_proj_{part}"] = joined
            if (name := f"{attention}out_proj.{part}") in weights:
                weights[f"{attention}attention.out_proj.{part}"] = weights.pop(name)


def all_layers(network: nn.Module, waveforms: Tensor) -> Tensor:
    """Return the input of the transformer and the output of each of its layers.

    waveforms: (batch, samples). Returns (layers + 1, batch, frames, hidden), Hugging Face's
    ``hidden_states``; a norm after the last layer (``do_stable_layer_norm``) is left out, as there.
    There is no mask: all waveforms of a batch are equally long.
    """
    features, _ = network.feature_extractor(waveforms, None)
    transformer = network.encoder.transformer
    x = network.encoder.feature_projection(features)
    x = x + transformer.pos_conv_embed(x)
    if transformer.layer_norm_first:  # in torchaudio: the norm of the whole transformer comes first
        x = transformer.layer_norm(x)
    x = transformer.dropout(x)
    states, bias = [x], None
    for layer in transformer.layers:
        x, bias = layer(x, None, position_bias=bias)
        states.append(x)
    return torch.stack(states)
