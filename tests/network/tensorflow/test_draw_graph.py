"""The network of posterior draws against plain NumPy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn.network.masks import draw_masks, draws_per_mask
from skbcnn.network.tensorflow.draw_graph import DrawGraph
from skbcnn.network.tensorflow.draw_tensors import mask_tensors, weight_tensors

N_DRAWS, SEED = 100, 4


def assert_agree(spec, weights, x, forward, n_together, group):
    """The outputs of a group of draws equal those of one network for each draw."""
    masks = draw_masks(spec.dropout_sizes, spec.dropout_rate, SEED, N_DRAWS)
    of_group = {place: part[group] for place, part in mask_tensors(spec, masks, N_DRAWS, n_together).items()}
    graph, stacked = DrawGraph(spec), weight_tensors(spec, weights)
    outputs = np.asarray(graph.outputs(stacked, graph.features(stacked, x), of_group))
    assert outputs.shape == (n_together, 2, spec.n_labels, len(x))
    for draw, of_draw in enumerate(outputs, start=group * n_together):
        masks_of_draw = {place: part[draw // draws_per_mask(place, N_DRAWS)] for place, part in masks.items()}
        for ours, expected in zip(of_draw, forward(spec, weights, x, masks_of_draw), strict=True):
            assert_allclose(ours.T, expected, rtol=3e-5, atol=2e-5)


@pytest.mark.parametrize("n_together", [1, 2, 4])
def test_groups_of_draws(small_spec, random_weights, forward, n_together):
    x = np.random.default_rng(5).normal(size=(6, 42)).astype(np.float32)
    for group in (0, 1, 17):
        assert_agree(small_spec, random_weights(small_spec), x, forward, n_together, group)


def test_other_shapes(other_spec, random_weights, forward):
    x = np.random.default_rng(1).normal(size=(3, other_spec.n_pixels)).astype(np.float32)
    assert_agree(other_spec, random_weights(other_spec), x, forward, n_together=4, group=3)


def test_last_group_is_filled_up_with_repeated_draws(small_spec):
    masks = draw_masks(small_spec.dropout_sizes, 0.3, SEED, n_draws=102)
    stacked = mask_tensors(small_spec, masks, n_draws=102, n_together=4)
    assert {len(part) for part in stacked.values()} == {26}
    full1 = stacked["full1"][-1].numpy()
    assert (full1[2:] == masks["full1"][-1]).all()
    assert (full1[:2] == masks["full1"][-2:]).all()
