import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sv.encoders.masking import frame_mask, mirror_padding, strided, zero_padding
from sv.encoders.pooling import (
    POOLINGS,
    VARIANCE_FLOOR,
    AttentiveStatisticsPooling,
    SelfAttentivePooling,
)
from sv.encoders.resnet import BandPooling
from sv.encoders.resnet_2023 import ChannelAttentivePooling

CHANNELS = 5


def random_input(batch=3, frames=11, seed=0):
    return torch.randn(batch, CHANNELS, 1, frames, generator=torch.Generator().manual_seed(seed))


def naive_attentive_statistics(pooling, x):
    """The paper's equations, one utterance, channel and frame at a time, in Python floats."""
    w_frames = pooling.on_frames.weight[:, :, 0, 0].tolist()
    bias = pooling.on_frames.bias.tolist()
    w_context = pooling.on_context.weight.tolist()
    v = pooling.weights.weight[:, :, 0, 0].tolist()
    v_bias = pooling.weights.bias.tolist()
    rows = []
    for utterance in x[:, :, 0].tolist():
        channels, frames = len(utterance), len(utterance[0])
        means = [sum(c) / frames for c in utterance]
        variances = [
            sum((a - m) ** 2 for a in c) / frames for c, m in zip(utterance, means, strict=True)
        ]
        context = means + [math.sqrt(max(u, VARIANCE_FLOOR)) for u in variances]
        logits = [[0.0] * frames for _ in range(channels)]
        for t in range(frames):
            seen = [c[t] for c in utterance]
            hidden = [
                math.tanh(
                    sum(a * b for a, b in zip(w_frames[j], seen, strict=True))
                    + sum(a * b for a, b in zip(w_context[j], context, strict=True))
                    + bias[j]
                )
                for j in range(len(bias))
            ]
            for c in range(channels):
                logits[c][t] = sum(a * b for a, b in zip(v[c], hidden, strict=True)) + v_bias[c]
        mean, deviation = [], []
        for c in range(channels):
            total = sum(math.exp(value) for value in logits[c])
            weights = [math.exp(value) / total for value in logits[c]]
            m = sum(w * a for w, a in zip(weights, utterance[c], strict=True))
            u = sum(w * (a - m) ** 2 for w, a in zip(weights, utterance[c], strict=True))
            mean.append(m)
            deviation.append(math.sqrt(max(u, VARIANCE_FLOOR)))
        rows.append(mean + deviation)
    return torch.tensor(rows)


def test_attentive_statistics_equal_the_equations():
    torch.manual_seed(1)
    pooling = AttentiveStatisticsPooling(CHANNELS, attention_channels=4)
    x = 2 * random_input()
    torch.testing.assert_close(
        pooling(x), naive_attentive_statistics(pooling, x), atol=1e-5, rtol=1e-5
    )


def test_attentive_statistics_split_of_the_context_is_the_concatenation():
    torch.manual_seed(2)
    pooling = AttentiveStatisticsPooling(CHANNELS, attention_channels=4)
    x = random_input()
    mean, deviation = x.mean(3, keepdim=True), x.var(3, keepdim=True, unbiased=False).sqrt()
    wide = torch.cat([x, mean.expand_as(x), deviation.expand_as(x)], 1)
    weight = torch.cat([pooling.on_frames.weight[:, :, 0, 0], pooling.on_context.weight], 1)
    hidden = torch.einsum("hc,bcqt->bhqt", weight, wide) + pooling.on_frames.bias[:, None, None]
    weights = pooling.weights(hidden.tanh()).softmax(3)
    expected = (weights * x).sum(3).flatten(1)
    torch.testing.assert_close(pooling(x)[:, :CHANNELS], expected, atol=1e-6, rtol=1e-5)


def test_self_attentive_pooling_equals_a_loop():
    torch.manual_seed(3)
    pooling = SelfAttentivePooling(CHANNELS)
    x = random_input()
    w, b = pooling.hidden.weight[:, :, 0, 0], pooling.hidden.bias
    u = pooling.relevance.weight[0, :, 0, 0]
    for utterance, output in zip(x[:, :, 0], pooling(x), strict=True):
        relevance = torch.stack([torch.tanh(w @ frame + b) @ u for frame in utterance.T])
        weights = relevance.exp() / relevance.exp().sum()
        expected = sum(p * frame for p, frame in zip(weights, utterance.T, strict=True))
        torch.testing.assert_close(output, expected, atol=1e-6, rtol=1e-5)


def test_mean_and_statistics_equal_torch():
    x = random_input()
    mean, deviation = x.mean(3).flatten(1), x.std(3, unbiased=False).flatten(1)
    torch.testing.assert_close(POOLINGS["mean"](CHANNELS)(x), mean)
    torch.testing.assert_close(POOLINGS["stats"](CHANNELS)(x), torch.cat([mean, deviation], 1))


@pytest.mark.parametrize("name", POOLINGS)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_padding_has_no_effect(name, lengths, seed):
    torch.manual_seed(seed)
    pooling = POOLINGS[name](CHANNELS).eval()
    x = random_input(len(lengths), 9, seed)
    mask = frame_mask(torch.tensor(lengths), 9)
    x = x.masked_fill(~mask, 1e4)
    with torch.no_grad():
        padded = pooling(x, mask)
        for row, length in enumerate(lengths):
            alone = pooling(x[row : row + 1, :, :, :length])
            torch.testing.assert_close(padded[row : row + 1], alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("value", [0.0, -15.9])
def test_constant_input_has_finite_gradients(name, value):
    pooling = POOLINGS[name](CHANNELS)
    x = torch.full((2, CHANNELS, 1, 7), value, requires_grad=True)
    output = pooling(x)
    assert output.shape == (2, pooling.output_dim) and output.isfinite().all()
    output.square().sum().backward()
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in pooling.parameters())


def test_frame_masks():
    mask = frame_mask(torch.tensor([1, 4, 5]), 5)
    assert mask.flatten(1).int().tolist() == [[1, 0, 0, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    # a "same" convolution with stride 2 gives ceil(length / 2) frames
    assert strided(mask, 2).sum(3).flatten().tolist() == [1, 2, 3]
    assert frame_mask(None, 5) is None and strided(None, 2) is None
    x = torch.full((3, 2, 1, 5), float("nan"))
    assert zero_padding(x, None) is x
    assert (zero_padding(x, mask)[0, :, :, 1:] == 0).all()


@pytest.mark.parametrize("pad", [1, 2, 4])
def test_mirrored_ends_equal_a_loop_also_for_the_shortest(pad):
    lengths = [1, 2, 3, 5, 9]
    mask = frame_mask(torch.tensor(lengths), 9)
    x = random_input(len(lengths), 9).masked_fill(~mask, float("nan"))
    mirrored = mirror_padding(x, pad, mask)
    assert mirrored.shape[3] == 9 + 2 * pad
    for row, length in enumerate(lengths):
        for place in range(-pad, length + pad):
            source = place  # walk back and forth between the first frame and the last
            while not 0 <= source < length:
                source = -source if source < 0 else 2 * (length - 1) - source
                source = 0 if length == 1 else source
            assert torch.equal(mirrored[row, :, :, place + pad], x[row, :, :, source])
    for frames in (pad, 9):
        whole = random_input(2, frames)
        everything = frame_mask(torch.tensor([frames, frames]), frames)
        assert torch.equal(mirror_padding(whole, pad, None), mirror_padding(whole, pad, everything))


def test_speechbrains_attention_has_relu_and_batch_norm_before_its_tanh():
    torch.manual_seed(4)
    pooling = AttentiveStatisticsPooling(CHANNELS, attention_channels=4, norm=True, floor=1e-12)
    pooling.eval()
    pooling.norm.running_mean.normal_()
    pooling.norm.running_var.uniform_(0.5, 2)
    x = random_input()
    mean, deviation = x.mean(3).flatten(1), x.std(3, unbiased=False).flatten(1)
    for row, utterance in enumerate(x[:, :, 0]):
        logits = []
        for frame in utterance.T:
            hidden = pooling.on_frames.weight[:, :, 0, 0] @ frame + pooling.on_frames.bias
            hidden = hidden + pooling.on_context.weight @ torch.cat([mean[row], deviation[row]])
            hidden = pooling.norm(hidden.clamp(min=0)[None, :, None, None]).flatten().tanh()
            logits.append(pooling.weights.weight[:, :, 0, 0] @ hidden + pooling.weights.bias)
        weights = torch.stack(logits, 1).softmax(1)
        centre = (weights * utterance).sum(1)
        variance = (weights * (utterance - centre[:, None]) ** 2).sum(1)
        torch.testing.assert_close(pooling(x)[row], torch.cat([centre, variance.sqrt()]))


def test_weights_for_each_channel_equal_a_loop():
    torch.manual_seed(5)
    pooling = ChannelAttentivePooling(CHANNELS).eval()
    x = random_input()
    for utterance, output in zip(x[:, :, 0], pooling(x), strict=True):
        logits = []
        for frame in utterance.T:
            hidden = (pooling.hidden.weight[:, :, 0, 0] @ frame + pooling.hidden.bias).clamp(min=0)
            hidden = pooling.norm(hidden[None, :, None, None]).flatten()
            logits.append(pooling.relevance.weight[:, :, 0, 0] @ hidden + pooling.relevance.bias)
        weights = torch.stack(logits, 1).softmax(1)
        torch.testing.assert_close(output, (weights * utterance).sum(1))


def test_attention_over_bands_follows_a_mean_over_real_frames():
    torch.manual_seed(6)
    pooling = BandPooling("sap", CHANNELS)
    x, lengths = torch.randn(2, CHANNELS, 7, 9), [4, 9]
    output = pooling(x, frame_mask(torch.tensor(lengths), 9))
    attention = pooling.over_bands
    for row, length in enumerate(lengths):
        bands = torch.stack([x[row, :, :, t] for t in range(length)]).mean(0)
        weights = attention.weights(bands[None, :, None])[0, 0, 0]
        expected = sum(w * band for w, band in zip(weights, bands.T, strict=True))
        torch.testing.assert_close(output[row], expected)
