"""The router of an MoE layer: which experts a token reaches and with which weight.

T tokens, E = n_routed_experts in n_group equal groups, K = num_experts_per_tok; equations of
arXiv:2412.19437. `config` carries the names of config.json.
"""
import numpy as np

GROUP_BEST = 2  # a group is judged by its two best experts


def sorted_rows(x):
    """Every row in descending order."""
    return -np.sort(-x, axis=-1)


def group_scores(corrected, config):
    """[T, n_group] sum of the two largest corrected affinities in each group."""
    grouped = corrected.reshape(len(corrected), config.n_group, -1)
    return sorted_rows(grouped)[:, :, :GROUP_BEST].sum(axis=-1)


def within_best_groups(corrected, config):
    """[T, E] the corrected affinities, with -inf outside the topk_group best groups of a token.

    -inf and not 0: a corrected affinity may be negative.
    """
    if config.n_group == 1:
        return corrected
    best = np.argsort(-group_scores(corrected, config), axis=-1, kind="stable")[:, :config.topk_group]
    kept = np.zeros((len(corrected), config.n_group), dtype=bool)
    np.put_along_axis(kept, best, True, axis=-1)
    return np.where(np.repeat(kept, corrected.shape[1] // config.n_group, axis=1), corrected, -np.inf)


def top_k(x, k):
    """[T, k] columns of the k largest entries of every row, in ascending order."""
    return np.sort(np.argsort(-x, axis=-1, kind="stable")[:, :k], axis=-1)


def choose(affinity, bias, config):
    """[T, K] chosen experts, ascending: eq. (16), s + b decides, inside the best groups."""
    return top_k(within_best_groups(affinity + bias, config), config.num_experts_per_tok)


def gates(affinity, chosen, config):
    """[T, K] weights of the chosen experts: eq. (13) and (14). The bias takes no part."""
    s = affinity[np.arange(len(chosen))[:, None], chosen]
    if config.norm_topk_prob:
        s = s / s.sum(axis=-1, keepdims=True)
    return s * config.routed_scaling_factor


def load(chosen, n_experts):
    """[E] tokens per expert."""
    return np.bincount(chosen.ravel(), minlength=n_experts)


def bias_after_step(bias, loads, gamma):
    """Section 2.1.2: overloaded experts lose gamma, underloaded ones gain it."""
    return bias + gamma * np.sign(loads.mean() - loads)


def balance(affinity, counted):
    """sum_i f_i P_i of one sequence, eq. (17) to (20) without alpha.

    counted: [T, K] experts that f counts. Eq. (18) counts the K largest affinities, without bias and
    groups. f is constant for the gradient.
    """
    n_tokens, n_experts = affinity.shape
    f = n_experts / counted.size * load(counted, n_experts)
    p = (affinity / affinity.sum(axis=-1, keepdims=True)).sum(axis=0) / n_tokens
    return (p * f).sum()


def margin(affinity, bias, config):
    """How far the closest choice of any token is from falling the other way: the smallest gap between
    the last chosen and the first refused, of experts within the groups and of groups."""
    corrected = affinity + bias
    k, m = config.num_experts_per_tok, config.topk_group
    experts = sorted_rows(within_best_groups(corrected, config))
    gap = np.min(experts[:, k - 1] - experts[:, k]) if k < affinity.shape[1] else np.inf
    if m < config.n_group:
        groups = sorted_rows(group_scores(corrected, config))
        gap = min(gap, np.min(groups[:, m - 1] - groups[:, m]))
    return gap
