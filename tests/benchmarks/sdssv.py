"""A PyTorch network like that of SDSS-V, with one full forward pass for each draw.

Only this comparison needs PyTorch. `tests.benchmarks` leaves it out if PyTorch is not installed.
"""

import numpy as np

from skbcnn.survey import APOGEE_LABELS, apogee_windows

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "The comparison with SDSS-V's network needs PyTorch, which skbcnn does not install. Run pip install torch."
    ) from error

FULL = ("teff", "logg", "Fe")
RATE = 0.3


def dropped(x):
    """Apply dropout, also in prediction."""
    return functional.dropout(x, RATE, training=True)


class Network(nn.Module):
    """Network with astroNN's widths, and one Linear layer for each element and stage."""

    def __init__(self):
        super().__init__()
        windows = apogee_windows()
        self.conv1, self.conv2 = nn.Conv1d(1, 2, 8), nn.Conv1d(2, 4, 8)
        self.full1, self.full2, self.aux = nn.Linear(7512, 192), nn.Linear(192, 96), nn.Linear(96, 2)
        self.full_mean, self.full_logvar = nn.Linear(96, 3), nn.Linear(96, 3)
        self.windows, self.elements = [], nn.ModuleList()
        for name in APOGEE_LABELS:
            if name not in FULL:
                window = torch.as_tensor(windows[name].astype(np.int64))
                width_1, width_2 = (256, 64) if name in ("C", "N") else (32, 16)
                heads = [nn.Linear(width_2 + 5, 1) for _ in range(2)]
                self.windows.append(window)
                self.elements.append(
                    nn.ModuleList([nn.Linear(len(window), width_1), nn.Linear(width_1, width_2), *heads])
                )

    def forward(self, x):
        """Return means and log-variances of all labels."""
        hidden = dropped(functional.relu(self.conv1(functional.pad(x[:, None], (3, 4)))))
        hidden = functional.max_pool1d(functional.relu(self.conv2(functional.pad(hidden, (3, 4)))), 4)
        hidden = dropped(functional.relu(self.full1(dropped(hidden.transpose(1, 2).flatten(1)))))
        full = functional.relu(self.full2(hidden))
        means, logvars = [self.full_mean(full)], [self.full_logvar(full)]
        context = torch.cat([self.aux(full), means[0]], 1)
        for window, (first, second, mean, logvar) in zip(self.windows, self.elements, strict=True):
            hidden = dropped(functional.relu(second(dropped(functional.relu(first(x[:, window]))))))
            hidden = torch.cat([hidden, context], 1)
            means.append(mean(hidden))
            logvars.append(logvar(hidden))
        return torch.cat(means, 1), torch.cat(logvars, 1)


@torch.inference_mode()
def predict_std(network, x, n_draws=100, batch_size=256):
    """Return the total standard deviation of each label over T draws."""
    stds = []
    for batch in torch.as_tensor(x).split(batch_size):
        draws = [network(batch) for _ in range(n_draws)]
        mean, logvar = (torch.stack(part) for part in zip(*draws, strict=True))
        stds.append((mean.var(0, correction=0) + logvar.mean(0).exp()).sqrt())
    return torch.cat(stds).numpy()
