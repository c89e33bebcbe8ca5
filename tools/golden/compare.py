"""When a computed value counts as the stored one, and what is stored without being computed."""
import dataclasses
import fnmatch

import numpy as np

# Tensors were computed in float64 and stored as float32: half a step of the rounding, relative to the
# value. Integers and FP8 codes are equal, or both NaN.
ROUNDING = {"F32": 2.0 ** -24, "F64": 0.0}
# What float64 leaves between two orders of the same sums, relative to the tensor's largest magnitude.
# The numbers in the JSON were stored in full: this, relative to the value, is all they may differ.
NOISE = 1e-11

INPUTS = ["*.in.*", "seq*.input_ids", "greedy.prompt", "train.step*.input_ids", "rope.*.x", "router.*.logits",
          "router.*.bias", "fp8.cast_in", "fp8.*.x", "fp8.*.w", "fp8.*.dy", "grpo.logp*", "grpo.mask",
          "grpo.rewards"]
SETTINGS = ["*.set.*", "case", "seed", "train.hyper.*", "rope.*.qk_*", "rope.*.rope_*", "rope.*.positions.*",
            "router.*.n_*", "router.*.num_*", "router.*.topk_*", "router.*.routed_*", "router.*.norm_*",
            "grpo.clip_eps", "grpo.beta"]
# How far the same mathematics drifts in float32 and bfloat16: rounding errors of the program that
# stored them, which no other program shares.
DRIFT = ["prefill_rel_fro_drift*float32*", "prefill_rel_fro_drift*bfloat16*",
         "train.rel_fro_drift_of_float32_reference.*"]


def distance(got, want):
    """Relative Frobenius norm, in which the stored facts tell how far two variants lie apart."""
    return np.linalg.norm(got - want) / np.linalg.norm(want)


class Disagreement(Exception):
    pass


@dataclasses.dataclass
class Agreement:
    n_tensors: int = 0
    n_values: int = 0  # elements of the tensors and numbers of the JSON
    largest: float = 0.0  # difference, relative to the largest magnitude of its tensor
    where: str = ""

    def add(self, name, n_values, difference):
        self.n_values += n_values
        if difference > self.largest:
            self.largest, self.where = difference, name


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def flatten(tree, prefix=""):
    """{"a.b.0": leaf} of nested dictionaries and lists."""
    if isinstance(tree, (dict, list)):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {path: leaf for key, branch in items
                for path, leaf in flatten(branch, f"{prefix}{key}.").items()}
    return {prefix[:-1]: tree}


def compare_tensor(name, got, want, dtype, agreement):
    got = np.asarray(got)
    if got.shape != want.shape:
        raise Disagreement(f"{name}: computed shape {list(got.shape)}, stored {list(want.shape)}")
    if dtype in ROUNDING:
        want = want.astype(np.float64)
        largest = np.nanmax(np.abs(want), initial=0.0)
        difference = np.where(np.isnan(got) & np.isnan(want), 0.0, np.abs(got - want))
        allowed = ROUNDING[dtype] * np.abs(np.nan_to_num(want)) + NOISE * largest
        relative = np.max(difference, initial=0.0) / largest if largest > 0 else 0.0
    else:
        not_a_number = (got & 0x7F == 0x7F) & (want & 0x7F == 0x7F) if dtype == "F8_E4M3" else False
        difference = np.where((got == want) | not_a_number, 0.0, 1.0)
        allowed, relative = np.zeros(want.shape), 0.0
    wrong = ~(difference <= allowed)  # also where only one of them is NaN
    if wrong.any():
        worst = np.argmax(np.where(wrong, np.nan_to_num(difference, nan=np.inf), -1.0))
        at = tuple(int(i) for i in np.unravel_index(worst, want.shape))
        raise Disagreement(f"{name}{list(at)}: computed {got[at]!s}, stored {want[at]!s}; "
                           f"{wrong.sum():,} of its {want.size:,} values disagree")
    agreement.add(name, want.size, float(relative))
    agreement.n_tensors += 1


def compare_number(name, got, want, agreement):
    """Also strings, None and true or false."""
    difference = 0.0
    if isinstance(want, float):
        difference = abs(float(got) - want) / abs(want) if want != 0 else abs(float(got))
    elif got != want:
        difference = np.inf
    if not difference <= NOISE:
        raise Disagreement(f"{name}: computed {got}, stored {want}")
    agreement.add(name, 1, difference)


def compare_case(tensors, scalars, stored, dtypes, facts):
    """Every stored value is an input, or computed and the same; the first that is not is raised."""
    agreement = Agreement()
    for name, want in stored.items():
        if matches(name, INPUTS):
            continue
        if name not in tensors:
            raise Disagreement(f"{name}: stored, but not computed")
        compare_tensor(name, tensors[name], want, dtypes[name], agreement)
    numbers = flatten(scalars)
    for name, want in flatten(facts).items():
        if matches(name, SETTINGS + DRIFT):
            continue
        if name not in numbers:
            raise Disagreement(f"{name}: stored, but not computed")
        compare_number(name, numbers[name], want, agreement)
    return agreement
