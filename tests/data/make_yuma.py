"""Makes yuma.json: epochs of Yuma consensus by dense numpy, straight from the published equations.

Equations (1) to (7) and the table "Mathematical definitions" of subtensor's docs/consensus.md, with bonds penalty 1,
alpha 0.1, kappa 32767/65535, and 18 % for the owner. The consensus is the definition itself: every weight in a column
is tried, and the greatest with enough support is taken.

    python tests/data/make_yuma.py      # writes beside itself; needs numpy
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]

KAPPA = 32_767 / 65_535
ALPHA = 0.1
OWNER = 0.18


def over(numerator: Array, denominator: Array | float) -> Array:
    """Division in which x / 0 is 0."""
    shape = np.broadcast(numerator, denominator).shape
    return np.divide(numerator, denominator, out=np.zeros(shape), where=np.asarray(denominator) > 0)


def run(case: dict, bonds: Array) -> dict:
    """One epoch: what the equations give for a subnet and its old bonds."""
    raw_stake = np.array(case["stake"])
    permits, active = np.array(case["permits"]), np.array(case["active"])
    n, owner = len(raw_stake), case["owner"]

    stake = raw_stake * permits * active
    stake = over(stake, stake.sum())

    weights = np.zeros((n, n))
    for i, row in enumerate(case["weights"]):
        for j, weight in row:
            weights[i, j] = weight
    weights[~permits] = 0
    kept = None if owner is None else weights[owner, owner]
    np.fill_diagonal(weights, 0)
    if owner is not None:
        weights[owner, owner] = kept
    weights = over(weights, weights.sum(1, keepdims=True))

    support = (stake[:, None, None] * (weights[:, None, :] >= weights[None, :, :])).sum(0)  # [candidate, miner]
    consensus = np.where(support >= KAPPA, weights, 0).max(0)
    clipped = np.minimum(weights, consensus)
    prerank, rank = stake @ weights, stake @ clipped
    incentive = over(rank, rank.sum())

    delta = over(stake[:, None] * clipped, (stake[:, None] * clipped).sum(0))
    bonds = ALPHA * delta + (1 - ALPHA) * over(bonds, bonds.sum(0))
    bonds = over(bonds, bonds.sum(0))
    dividends = over(bonds @ incentive, (bonds @ incentive).sum())

    amount = case["emission"] * (1 - OWNER)
    if incentive.sum() + dividends.sum() == 0:
        shares = stake if stake.sum() > 0 else over(raw_stake, raw_stake.sum())
        miners, validators = np.zeros(n), shares * amount
    else:
        parts = incentive.sum() + dividends.sum()
        miners, validators = incentive / parts * amount, dividends / parts * amount
    burned = amount - (miners + validators).sum()  # all of it when nobody has stake, else rounding
    if owner is not None:
        burned, miners[owner] = burned + miners[owner], 0
    return {
        "consensus": consensus, "incentive": incentive, "trust": over(rank, prerank),
        "validator_trust": clipped.sum(1), "dividends": dividends, "bonds": bonds,
        "emission": miners + validators, "burned": burned, "owner_cut": case["emission"] * OWNER,
    }  # fmt: skip


def make_case(rng: np.random.Generator, n: int, n_validators: int, owner: int | None) -> dict:
    """A random subnet: some validators idle, some forbidden, sparse weights, weights on oneself among them."""
    stake = np.where(np.arange(n) < n_validators, rng.gamma(0.7, 1000, n), 0)
    permits = (stake > 0) & (rng.random(n) < 0.9)
    quality = rng.random(n) ** 3
    weights = np.abs(quality + rng.normal(0, 0.1, (n, n))) * (rng.random((n, n)) < 0.7)
    weights[n_validators:] *= rng.random() < 0.5
    return {
        "stake": stake.round(3).tolist(),
        "permits": permits.tolist(),
        "active": (rng.random(n) < 0.9).tolist(),
        "weights": [[[j, round(float(w), 5)] for j, w in enumerate(row) if w > 0] for row in weights],
        "owner": owner,
        "emission": float(rng.integers(1, 1000)),
    }


def main() -> None:
    """Writes the file: runs of three epochs each, whose bonds go from one to the next."""
    rng = np.random.default_rng(49)
    runs = []
    for n, n_validators, owner in [
        (3, 2, None),
        (5, 2, 0),
        (8, 3, None),
        (12, 5, 3),
        (20, 8, 0),
        (6, 6, None),
        (4, 0, 1),
    ]:
        bonds, epochs = np.zeros((n, n)), []
        for _ in range(3):
            case = make_case(rng, n, n_validators, owner)
            found = run(case, bonds)
            bonds = found["bonds"]
            epochs.append({"subnet": case, "found": {k: np.asarray(v).tolist() for k, v in found.items()}})
        runs.append(epochs)
    Path(__file__).with_name("yuma.json").write_text(json.dumps(runs, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
