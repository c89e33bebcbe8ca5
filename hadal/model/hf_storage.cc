#include "hadal/model/hf_storage.h"

#include "hadal/tensor/quantized.h"

namespace hadal {
namespace {

constexpr std::pair<WeightForm, std::string_view> kForms[] = {
    {WeightForm::kF32, "f32"}, {WeightForm::kBF16, "bf16"}, {WeightForm::kF16, "f16"},
    {WeightForm::kFp8, "fp8"}, {WeightForm::kQ8, "q8"},     {WeightForm::kQ4, "q4"}};
constexpr const char* kFormsText = "f32, bf16, f16, fp8, q8 or q4";
constexpr const char* kMethod = "hadal";

Json hadal_to_hf(const StoredForms& forms) {
  Json json = Json::object();
  json["quant_method"] = kMethod;
  // `bits` is how checkpoints of one form have always said it.
  if (forms.projections == WeightForm::kQ8 || forms.projections == WeightForm::kQ4) {
    json["bits"] = bits_per_value(forms.projections);
  } else {
    json["projections"] = std::string(form_key(forms.projections));
  }
  json["block_size"] = kQuantBlock;
  for (const auto& [weight_class, form] : forms.mixed) {
    json["mixed"][std::string(class_name(weight_class))] = std::string(form_key(form));
  }
  return json;
}

WeightForm read_form(const HfFields& fields, std::string_view key) {
  const std::string text = fields.text(key, "");
  const auto form = form_from_key(text);
  if (!form) fields.refuse(key, in_quotes(text), kFormsText);
  return *form;
}

}  // namespace

std::string_view form_key(WeightForm form) {
  for (const auto& [each, key] : kForms) {
    if (each == form) return key;
  }
  return "";
}

std::optional<WeightForm> form_from_key(std::string_view wanted) {
  for (const auto& [form, key] : kForms) {
    if (key == wanted) return form;
  }
  return std::nullopt;
}

Json hf_fp8_storage(bool power_of_two_scales) {
  Json json = Json::object();
  json["activation_scheme"] = "dynamic";
  json["fmt"] = "e4m3";
  json["quant_method"] = "fp8";
  if (power_of_two_scales) json["scale_fmt"] = "ue8m0";
  json["weight_block_size"] = Json::Array{128, 128};
  return json;
}

void set_hf_storage(Json& config, const StoredForms& forms, bool power_of_two_scales) {
  std::erase_if(config.as_object(), [](const Json::Member& member) {
    return member.first == "dtype" || member.first == "quantization_config";
  });
  config["torch_dtype"] = forms.projections == WeightForm::kF32 ? "float32" : "bfloat16";
  if (forms.mixed.empty() && is_plain(forms.projections)) return;
  config["quantization_config"] = forms.mixed.empty() && forms.projections == WeightForm::kFp8
                                      ? hf_fp8_storage(power_of_two_scales)
                                      : hadal_to_hf(forms);
}

StoredForms read_hadal_storage(const HfFields& quantization) {
  const int64_t block = quantization.integer("block_size");
  if (block != kQuantBlock) {
    quantization.refuse("block_size", std::to_string(block), std::to_string(kQuantBlock));
  }
  StoredForms forms;
  if (quantization.has("projections")) {
    forms.projections = read_form(quantization, "projections");
  } else {
    const int64_t bits = quantization.integer("bits");
    if (bits != 8 && bits != 4) quantization.refuse("bits", std::to_string(bits), "8 or 4");
    forms.projections = bits == 8 ? WeightForm::kQ8 : WeightForm::kQ4;
  }
  const Json* mixed = quantization.find("mixed");
  if (!mixed) return forms;
  const HfFields classes(*mixed, quantization.source(), quantization.name("mixed"));
  for (const auto& [name, form] : mixed->as_object()) {
    const auto weight_class = class_from_name(name);
    if (!weight_class) {
      quantization.refuse("mixed", in_quotes(name),
                          "attention, dense, experts, shared, head, embedding or eh_proj");
    }
    forms.mixed[*weight_class] = read_form(classes, name);
  }
  return forms;
}

std::optional<StoredForms> hadal_storage(const Json& config, const std::string& source) {
  const HfFields fields(config, source);
  const Json* object = fields.find("quantization_config");
  if (!object) return std::nullopt;
  const HfFields quantization(*object, source, "quantization_config");
  if (quantization.text("quant_method", "") != kMethod) return std::nullopt;
  return read_hadal_storage(quantization);
}

}  // namespace hadal
