"""Recomputes what the folder of a checkpoint stores in golden.safetensors and golden.json.

Values are filed under their stored names: {tensor: array} and nested numbers as in the JSON.
"""
import numpy as np

import fp8
import router
import safetensors
from autograd import Value
from compare import distance
from model import Model, read_config
from training import BIAS, train

N_GREEDY = 32


class CheckpointCase:
    def __init__(self, folder, stored, facts):
        self.folder, self.stored, self.facts = folder, stored, facts
        self.config = read_config(folder)
        self.weights, self.in_fp8 = safetensors.read_checkpoint(folder)
        self.sequences = [stored[f"seq{s}.input_ids"] for s in range(len(facts["prefill"]))]
        self.margins = [np.inf] * len(self.sequences)  # smallest routing margin of all variants
        self.tensors, self.scalars = {}, {}

    def model(self, quantised_inputs=(), norm_before_mtp=True):
        values = {name: Value(w) for name, w in self.weights.items()}
        return Model(self.config, values, quantised_inputs, norm_before_mtp)

    def corrections(self, routing):
        """(affinity, bias, chosen) of every MoE layer of one pass."""
        return [(r.affinity.data, self.weights[f"model.layers.{layer}.mlp.gate.{BIAS}"], r.chosen)
                for layer, r in routing.items()]

    def margin(self, routing):
        return min(router.margin(s, b, self.config) for s, b, _ in self.corrections(routing))

    def passes(self, model):
        for s, ids in enumerate(self.sequences):
            p = model.forward(ids)
            self.margins[s] = min(self.margins[s], self.margin(p.routing))
            yield s, p

    def file_mtp(self, prefix, p):
        for k, depth in enumerate(p.mtp, start=1):
            self.tensors[f"{prefix}.{k}.logits"] = depth.logits.data
            self.tensors[f"{prefix}.{k}.hidden"] = depth.hidden.data

    def prefill(self):
        decisions = []
        for s, p in self.passes(self.model()):
            self.tensors[f"seq{s}.logits"] = p.logits.data
            self.tensors[f"seq{s}.final_norm"] = p.final_norm.data
            for layer, hidden in enumerate(p.hidden):
                self.tensors[f"seq{s}.hidden.{layer}"] = hidden.data
            for layer, r in p.routing.items():
                self.tensors[f"seq{s}.router.{layer}.indices"] = r.chosen
                self.tensors[f"seq{s}.router.{layer}.gates"] = r.gates.data
            self.file_mtp(f"seq{s}.mtp", p)
            decisions += self.corrections(p.routing)
        for s, p in self.passes(self.model(norm_before_mtp=False)):
            self.file_mtp(f"seq{s}.mtp_pre_norm", p)
        k = self.config.num_experts_per_tok
        self.scalars["routing_decisions"] = {
            "tokens_x_layers": sum(len(s) for s, _, _ in decisions),
            "changed_by_bias": sum(differing_rows(chosen, router.choose(s, 0.0, self.config))
                                   for s, _, chosen in decisions),
            "changed_by_group_limit": sum(differing_rows(chosen, router.top_k(s + b, k))
                                          for s, b, chosen in decisions)}

    def fp8_inputs(self):
        """Every FP8 weight multiplies inputs rounded to FP8 tiles. In the absorbed form kv_b_proj is
        applied to unrounded latents, which in exact arithmetic is leaving its input alone."""
        distances = {}
        for variant, plain_input in {"fp8_gemm": None, "fp8_gemm_absorb": "kv_b_proj.weight"}.items():
            model = self.model({name for name in self.in_fp8
                                if plain_input is None or not name.endswith(plain_input)})
            for s, p in self.passes(model):
                self.tensors[f"seq{s}.{variant}.logits"] = p.logits.data
                self.file_mtp(f"seq{s}.{variant}.mtp", p)
                if s == 1 and variant == "fp8_gemm":
                    self.trace(model)
            distances[variant] = {"distance_to_plain": {"logits": max(
                distance(self.tensors[f"seq{s}.{variant}.logits"], self.tensors[f"seq{s}.logits"])
                for s in range(len(self.sequences)))}}
        self.scalars["prefill_rel_fro_drift_of_low_precision_reference"] = distances

    def trace(self, model):
        for name in self.in_fp8:
            name = name.removesuffix(".weight")
            if name not in model.linear_inputs:  # an expert that no token reached
                continue
            x = model.linear_inputs[name]
            codes, scale = fp8.quantise(x, fp8.ROW_TILE, fp8.FLOOR, model.power_of_two)
            y = fp8.dequantise(codes, scale, fp8.ROW_TILE) @ self.weights[name + ".weight"].T
            for part, value in {"x": x, "codes": codes, "scale": scale, "y": y}.items():
                self.tensors[f"trace.{name}.{part}"] = value

    def greedy(self):
        prompt = self.stored["greedy.prompt"].tolist()
        ids, logits, margins, model = list(prompt), [], [], self.model()
        for _ in range(N_GREEDY):
            p = model.forward(ids, with_mtp=False)
            logits.append(p.logits.data[-1])
            margins.append(self.margin(p.routing))
            ids.append(int(np.argmax(logits[-1])))
        tokens, best = ids[len(prompt):], router.sorted_rows(np.array(logits))
        self.tensors.update({"greedy.tokens": np.array(tokens), "greedy.logits": np.array(logits)})
        self.scalars["greedy"] = {"prompt": prompt, "tokens": tokens, "min_routing_margin": min(margins),
                                  "min_top1_gap": (best[:, 0] - best[:, 1]).min()}

    def training(self):
        hyper = self.facts["train"]["hyper"]
        batches = [self.stored[f"train.step{n}.input_ids"] for n in range(1, hyper["steps"] + 1)]
        records = []
        for n, (gradient, weights, record) in enumerate(
                train(self.config, self.weights, batches, hyper), start=1):
            self.tensors.update({f"step{n}.{name}": w for name, w in weights.items()})
            if n == 1:
                self.tensors.update({f"grad.{name}": g for name, g in gradient.items()})
            records.append(record)
        self.scalars["train"] = {"steps": records}


def differing_rows(a, b):
    return int((a != b).any(axis=-1).sum())


def same_weights(folder, weights):
    other, _ = safetensors.read_checkpoint(folder)
    return other.keys() == weights.keys() and all(np.array_equal(other[n], w) for n, w in weights.items())


def compute(folder, stored, facts):
    case = CheckpointCase(folder, stored, facts)
    case.prefill()
    if case.in_fp8:
        case.fp8_inputs()
    if "greedy" in facts:
        case.greedy()
    if "train" in facts:
        case.training()
    case.scalars["prefill"] = [{"ids": ids.tolist(), "min_routing_margin": margin}
                               for ids, margin in zip(case.sequences, case.margins)]
    case.scalars["checkpoint_folders"] = [name for name in facts["checkpoint_folders"]
                                          if same_weights(folder / name, case.weights)]
    return case.tensors, case.scalars
