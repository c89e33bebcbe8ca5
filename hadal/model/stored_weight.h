// model/stored_weight.h: one weight as it lies in a checkpoint, in any of the forms hadal reads and
// writes, and the way between that and values.
//
//   plain  F32, BF16 or F16
//   fp8    F8_E4M3 codes and F32 scales of 128x128 blocks (docs/formats.md)
//   q8 q4  hadal's own blocks (docs/formats.md)
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "hadal/io/safetensors.h"
#include "hadal/model/deepseek_v3.h"
#include "hadal/model/hf_names.h"
#include "hadal/tensor/context.h"

namespace hadal {

struct StoredWeight {
  std::string name;
  Tensor::Shape shape;
  std::string where;  // "FILE: tensor NAME", for errors
  WeightForm form = WeightForm::kF32;
  std::variant<Tensor, Quantized> data =
      {};  // values, or codes with scales; borrowed from the file

  int64_t bytes() const;
};

// Finds `param` in the checkpoint, of which only headers are read; FormatError if it is missing, its shape
// is another, its type does not fit its kind, or its scales are missing or misshapen.
StoredWeight find_stored(const TensorSource& source, const NamedParam& param);
// The first values that are read: FormatError if a scale is not finite. REQUIRED before any use.
void read_scales(StoredWeight& stored);
// The tensors it consists of: the weight, and its scales if any.
std::vector<std::string> stored_names(const StoredWeight& stored);

// The same in the memory of the arena: shared on the host, carried over to a GPU.
StoredWeight placed(const StoredWeight& stored, Arena& arena);
// Values as F32 in the arena. REQUIRES that they are placed there.
Tensor read_f32(Context& ctx, const StoredWeight& stored);
// The parameter's values where they lie, nothing copied: on the host products read the file's mapping.
void use_as_stored(Param& param, const StoredWeight& stored);
// The tensors of the file, in the order of declare().
std::vector<Tensor> stored_tensors(const StoredWeight& stored);

// F32 of F32 (shared), BF16 or F16.
Tensor widened(Context& ctx, const Tensor& values);
// F32 of whatever a parameter holds; its master is shared.
Tensor param_values(Context& ctx, const Param& param);

// The form a parameter takes in a checkpoint of that form: norms, tables, the router and eh_proj
// stay BF16 in the quantised ones, route_bias is always F32.
WeightForm form_for(const NamedParam& param, WeightForm checkpoint_form);
// The forms of a whole checkpoint.
struct StoredForms {
  WeightForm projections = WeightForm::kBF16;    // of attention and feed-forward networks
  std::map<WeightClass, WeightForm> mixed = {};  // classes that differ from what form_for says

  WeightForm of(const NamedParam& param) const;
  bool operator==(const StoredForms&) const = default;
};
// Of a checkpoint that is to be in this form and nothing else is said: beside 4 bits, what every token
// reads takes 8, which costs little and saves most of the divergence (docs/weights.md).
StoredForms usual_forms(WeightForm projections);
// Names, types and shapes of the tensors that `form` stores for this weight: one or two.
std::vector<TensorInfo> declare(const std::string& name, const Tensor::Shape& shape,
                                WeightForm form);
// F32 values into that form; as many tensors as declare() said.
std::vector<Tensor> encode(Context& ctx, const Tensor& values, WeightForm form,
                           bool power_of_two_scales);

}  // namespace hadal
