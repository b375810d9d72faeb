"""The architecture in numbers: shapes of weights, widths, droppable units."""

import dataclasses

import numpy as np
import pytest

from skbcnn.network.spec import NetworkSpec


def n_weights(spec):
    return sum(int(np.prod(shape)) for shape in spec.weight_shapes.values())


def one_window(**settings):
    return NetworkSpec(n_pixels=40, windows=(None, (3, 4, 5)), widening=((1, 1), (1, 1)), **settings)


class TestPublishedNetwork:
    def test_number_of_weights(self, dr14_spec):
        assert n_weights(dr14_spec) == 3_505_554

    def test_context_in_the_hidden_layers(self, dr14_spec):
        spec = dataclasses.replace(dr14_spec, context_layer="hidden")
        assert spec.weight_shapes["label2.hidden2.kernel"] == (256 + 5, 64)
        assert n_weights(spec) == 3_505_554 + 5 * (2 * 64 + 17 * 16)
        assert spec.dropout_sizes == dr14_spec.dropout_sizes  # the context is never dropped

    def test_number_of_droppable_units(self, dr14_spec):
        # 7514 pixels in 2 filters, 1878 x 4 pooled, 192, two wide labels and seventeen others
        assert sum(dr14_spec.dropout_sizes.values()) == 2 * 7514 + 7512 + 192 + 2 * (256 + 64) + 17 * (32 + 16)
        assert len(dr14_spec.dropout_sizes) == 41  # as many MCDropout layers as astroNN has

    def test_labels_and_context(self, dr14_spec):
        assert dr14_spec.full_labels == (0, 1, 19)
        assert dr14_spec.n_context == 5
        assert (dr14_spec.n_pooled, dr14_spec.n_flat) == (1878, 7512)

    def test_two_groups_of_windows(self, dr14_spec):
        sizes = [(len(group.labels), group.width_1, group.width_2) for group in dr14_spec.groups]
        assert sorted(sizes) == [(2, 256, 64), (17, 32, 16)]

    def test_shapes(self, dr14_spec):
        expected = {
            "conv1.kernel": (8, 1, 2),
            "conv2.kernel": (8, 2, 4),
            "full1.kernel": (7512, 192),
            "full2.kernel": (192, 96),
            "aux.kernel": (96, 2),
            "label0.mean.kernel": (96, 1),
            "label2.hidden1.kernel": (3806, 256),
            "label2.hidden2.kernel": (256, 64),
            "label2.mean.kernel": (69, 1),
            "label6.hidden1.kernel": (13, 32),
            "label6.hidden1.bias": (32,),
            "label6.logvar.kernel": (21, 1),
            "label19.logvar.kernel": (96, 1),
        }
        assert expected.items() <= dr14_spec.weight_shapes.items()


class TestOtherNetworks:
    def test_padding_of_a_convolution_is_smaller_before_the_spectrum(self):
        assert [one_window(filter_len=n).padding for n in (8, 5, 1)] == [(3, 4), (2, 2), (0, 0)]

    @pytest.mark.parametrize(("context_layer", "n_context"), [("output", 0), ("hidden", 1 + 1)])
    def test_weights_counted_by_hand(self, context_layer, n_context):
        spec = one_window(num_hidden=(5, 4, 3, 2, 1), num_filters=(2, 3), context_layer=context_layer)
        by_hand = {
            "conv1": 8 * 1 * 2 + 2,
            "conv2": 8 * 2 * 3 + 3,
            "full1": 30 * 5 + 5,
            "full2": 5 * 4 + 4,
            "aux": 4 * 1 + 1,
            "label without window": 2 * (4 + 1),
            "window layers": (3 * 3 + 3) + ((3 + n_context) * 2 + 2),
            "label with window": 2 * (2 + 1 + 1 + 1),
        }
        assert n_weights(spec) == sum(by_hand.values())

    def test_without_window_labels_there_are_no_free_context_units(self):
        spec = NetworkSpec(n_pixels=40, windows=(None, None), widening=((1, 1), (1, 1)), context_layer="hidden")
        assert spec.n_free == 0
        assert spec.groups == ()
        assert "aux.kernel" not in spec.weight_shapes

    def test_no_free_context_units(self):
        spec = one_window(num_hidden=(5, 4, 3, 2, 0))
        assert spec.n_context == 1
        assert "aux.kernel" not in spec.weight_shapes

    @pytest.mark.parametrize("n_pixels", [1, 3, 7])
    def test_filter_and_pool_never_exceed_the_pixels(self, n_pixels):
        spec = NetworkSpec(n_pixels=n_pixels, windows=(None,), widening=((1, 1),))
        assert spec.weight_shapes["conv1.kernel"] == (min(8, n_pixels), 1, 2)
        assert spec.n_pooled == n_pixels // min(4, n_pixels) >= 1
