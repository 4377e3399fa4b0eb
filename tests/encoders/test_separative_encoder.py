"""The separative encoder: masks, sources, and one embedding where one is wanted."""

import pytest
import torch

from sv.encoders import SeparativeConfig, build_encoder
from sv.errors import InputError

SIZES = {"mel_bins": 12, "channels": 16, "blocks": 2, "pooled_channels": 16, "embedding_dim": 8}


def encoder_of(**settings):
    torch.manual_seed(0)
    return build_encoder(SeparativeConfig(**{**SIZES, **settings})).eval()


@pytest.fixture(params=["conv", "galr"])
def encoder(request):
    return encoder_of(trunk=request.param, segment=6)


def test_sources_take_power_from_the_mixture_and_never_add_any(encoder):
    features = torch.randn(3, 41, 12)
    found = encoder.separate(features)
    assert found.log_mel.shape == (3, 2, 41, 12) and found.embeddings.shape == (3, 2, 8)
    assert (found.log_mel.exp().sum(dim=1) <= features.exp() * (1 + 2e-3)).all()
    torch.testing.assert_close(found.shares.sum(dim=1), torch.ones(3))


def test_perfect_separation_gives_the_clean_embedding(encoder, monkeypatch):
    """With the masks that an oracle would give, both speakers have their own embeddings."""
    clean = torch.randn(2, 2, 40, 12)
    clean = clean - clean.mean(dim=2, keepdim=True)
    mixture = clean.logsumexp(dim=1)
    monkeypatch.setattr(encoder, "log_masks", lambda x, lengths=None: clean - x[:, None])
    found = encoder.separate(mixture)
    for source in range(2):
        torch.testing.assert_close(
            found.embeddings[:, source], encoder.embed(clean[:, source]), rtol=1e-3, atol=1e-4
        )


def test_the_dominant_source_is_the_one_that_is_returned(encoder, monkeypatch):
    features = torch.randn(1, 30, 12)
    for loud in (0, 1):
        masks = torch.full((1, 2, 30, 12), -3.0)
        masks[:, loud] = -0.1
        monkeypatch.setattr(encoder, "log_masks", lambda x, lengths=None, masks=masks: masks)
        assert encoder.separate(features).shares.argmax().item() == loud
        assert torch.equal(encoder(features)[0], encoder.separate(features).embeddings[0, loud])


def test_one_source_is_a_plain_encoder_with_the_same_trunk():
    plain, two = encoder_of(sources=1), encoder_of()
    extra = set(two.state_dict()) - set(plain.state_dict())
    assert extra == {"masks.weight", "masks.bias"} and set(plain.state_dict()) < set(
        two.state_dict()
    )
    x = torch.randn(2, 30, 12)
    torch.testing.assert_close(plain(x), plain.embed(x))


def test_global_attention_reaches_across_segments():
    """A change at the end of an utterance is heard at its start; with convolutions it is not."""
    for trunk, reaches in (("galr", True), ("conv", False)):
        encoder = encoder_of(trunk=trunk, segment=6)
        x = torch.randn(1, 120, 12)
        other = x.clone()
        other[:, 110:] += 1
        change = (encoder.log_masks(x) - encoder.log_masks(other))[:, :, :20].abs().max()
        assert (change > 1e-6) == reaches


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"segment": 5}, "must be even"),
        ({"trunk": "galr", "channels": 18, "heads": 4}, "multiple of heads=4"),
        ({"sources": 0}, "sources must be at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        SeparativeConfig(**settings)
