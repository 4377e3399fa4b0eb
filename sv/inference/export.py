"""A model as one graph, from waveform to embedding, for programs without this toolkit.

The graph takes the waveform, not features, so its user cannot compute wrong features. The input is
``waveform`` (batch, samples), float32 in [-1, 1], at the sample rate of the model. It must have at
least one frame of 25 ms, and all rows of a batch are equally long. The output is ``embedding``
(batch, dim) float32, as ``SpeakerModel.embed`` returns it.
"""

import io
import json
import logging
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from sv.errors import InputError
from sv.features.fbank_graph import FbankLayer
from sv.features.framing import frame_sizes
from sv.features.normalise import normalise
from sv.files import atomic_write
from sv.inference.speaker_model import SpeakerModel

Format = Literal["onnx", "torchscript"]
EXAMPLE_SECONDS = 2.0
CHECKED_SECONDS = (1.0, 1.234, 4.0)
"""Lengths at which an exported graph is compared with the model; the example has another length."""
OPSETS = {18: "1.15", 19: "1.16", 20: "1.17", 21: "1.18"}
"""The opsets of ONNX to choose from, each with the first onnxruntime that runs such a file. torch
cannot make a lower one than 18. The file gets the oldest IR version that has its operators."""
OPSET = min(OPSETS)
TOLERANCE = 1e-3
"""Largest allowed difference relative to the embedding's length. We measured 1e-6 to 1e-5."""


class WaveformEncoder(nn.Module):
    """Filterbank, normalisation and encoder in one module, for export."""

    def __init__(self, model: SpeakerModel):
        super().__init__()
        form = model.sample_rate, model.embedder.mel_bins, model.embedder.preset
        self.fbank = None if model.embedder.hears_waveforms else FbankLayer(*form)
        self.kind = model.embedder.normalise
        self.encoder = model.embedder.encoder
        self.whitening = model.embedder.whitening

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (batch, samples) to (batch, dim)."""
        heard = waveform if self.fbank is None else normalise(self.fbank(waveform), self.kind)
        vectors = self.encoder(heard)
        return vectors if self.whitening is None else self.whitening(vectors)


def export(model: SpeakerModel, path: str | Path, form: Format, opset: int = OPSET) -> float:
    """Write the graph of ``model`` to ``path``; return the largest relative difference.

    Before the file gets its name, the graph and ``model`` are run on noise of several lengths and
    compared. For ONNX this needs onnxruntime; if it is not installed, NaN is returned.
    ``opset``: version of ONNX, one of ``OPSETS``.

    Raises:
        InputError: packages that ONNX needs are missing, or torch cannot make the opset.
        RuntimeError: the graph's embeddings differ (a bug here, not a mistake of the caller).
    """
    graph = WaveformEncoder(model).eval().requires_grad_(False)
    data = _torchscript(graph, model) if form == "torchscript" else _onnx(graph, model, opset)
    run = (_torchscript_runner if form == "torchscript" else _onnx_runner)(data)
    worst = largest_difference(model, run) if run is not None else float("nan")
    if worst > TOLERANCE:
        raise RuntimeError(f"the {form} graph differs from the model by {worst:.2g}")
    with atomic_write(path, "wb") as handle:
        handle.write(data)
    return worst


def describe(model: SpeakerModel) -> dict[str, str]:
    """Return the facts that a user of the file needs; they are written into the file."""
    return {
        "input": "waveform (batch, samples) float32 in [-1, 1], at least 25 ms",
        "output": f"embedding (batch, {model.dim}) float32; compare by cosine",
        "sample_rate": str(model.sample_rate),
        # That of a model with a cohort is of normalised scores, and a graph gives only embeddings.
        "calibration": "none"
        if model.calibration is None or model.cohort is not None
        else json.dumps(vars(model.calibration)),
    }


def _example(model: SpeakerModel, seconds: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(1, int(seconds * model.sample_rate), generator=generator)


def largest_difference(model: SpeakerModel, run) -> float:
    """Return the largest |a - b| / |a|; a are embeddings from ``model``, b those from ``run``."""
    worst = 0.0
    for seconds in CHECKED_SECONDS:
        waveform = _example(model, seconds, seed=1)
        expected = model.embed(waveform[0], model.sample_rate)
        found = run(waveform.numpy())[0]
        worst = max(worst, float(np.linalg.norm(found - expected) / np.linalg.norm(expected)))
    return worst


def _torchscript(graph: nn.Module, model: SpeakerModel) -> bytes:
    with warnings.catch_warnings():
        # Tracing warns at every check of a shape; `export` compares results at other lengths
        # instead. torch also warns that TorchScript is deprecated, but libtorch still reads it.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(graph, _example(model, EXAMPLE_SECONDS), check_trace=False)
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer, _extra_files={"about.json": json.dumps(describe(model))})
    return buffer.getvalue()


def _torchscript_runner(data: bytes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = torch.jit.load(io.BytesIO(data))

    def run(waveform: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return loaded(torch.from_numpy(waveform)).numpy()

    return run


def _onnx(graph: nn.Module, model: SpeakerModel, opset: int) -> bytes:
    try:
        import onnx
        import onnxscript  # noqa: F401  torch.onnx needs it
    except ImportError as error:
        raise InputError(
            f"ONNX export needs the package {error.name}: pip install 'sv-toolkit[onnx]'"
        ) from None
    samples = torch.export.Dim("samples", min=frame_sizes(model.sample_rate)[0])
    batch = torch.export.Dim("batch")
    example = _example(model, EXAMPLE_SECONDS).repeat(2, 1)  # a batch of 1 would become a constant
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph,
                (example,),
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=["waveform"],
                output_names=["embedding"],
                dynamic_shapes={"waveform": {0: batch, 1: samples}},
            )
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
    proto = program.model_proto
    made = {entry.domain: entry.version for entry in proto.opset_import}[""]
    if made != opset:  # if torch cannot convert to an opset, it silently uses another one
        raise InputError(f"this torch makes ONNX graphs of opset {made}, not {opset}: give --opset")
    proto.ir_version = onnx.helper.find_min_ir_version_for(proto.opset_import)
    onnx.helper.set_model_props(proto, describe(model))
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


def _onnx_runner(data: bytes):
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return lambda waveform: session.run(["embedding"], {"waveform": waveform})[0]
