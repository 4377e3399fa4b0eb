import numpy as np
import pytest

from sv.crops.batches import batch_utterances, epoch_order, steps_per_epoch
from sv.errors import InputError


def test_an_epoch_visits_every_utterance_once():
    batches = [batch_utterances(20, 4, seed=1, epoch=0, step=s) for s in range(5)]
    assert sorted(np.concatenate(batches)) == list(range(20))


def test_order_is_a_pure_function_of_seed_and_epoch():
    first = batch_utterances(50, 8, seed=1, epoch=3, step=2).copy()
    epoch_order.cache_clear()
    np.testing.assert_array_equal(first, batch_utterances(50, 8, seed=1, epoch=3, step=2))
    assert (epoch_order(50, 1, 3) != epoch_order(50, 1, 4)).any()
    assert (epoch_order(50, 1, 3) != epoch_order(50, 2, 3)).any()


def test_batch_larger_than_the_set_is_refused_before_training():
    assert steps_per_epoch(11, 4) == 2
    with pytest.raises(InputError, match="batch_size is 12.*11 utterances"):
        steps_per_epoch(11, 12)
