// Writes a seed corpus for every fuzz target: `fuzz_seeds FOLDER`.
#include <cstdio>

#include "hadal/core/toml.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/safetensors_header.h"
#include "hadal/model/config.h"
#include "hadal/schedule/schedule_file.h"
#include "hadal/train/config.h"

namespace hadal {
namespace {

void seed(const std::string& folder, const std::string& name, const std::string& text) {
  make_folders(folder);
  write_file_atomically(folder + "/" + name, text);
}

void seed_json(const std::string& folder) {
  seed(folder, "all",
       R"({"a":[1,-2.5e3,true,false,null,"\u00e9\n\ud83d\ude42"],"b":{},"c":[[[]]]})");
  seed(folder, "big",
       R"([9223372036854775807,18446744073709551615,-9223372036854775808,1e308,5e-324])");
}

void seed_configs(const std::string& folder) {
  for (const Preset& preset : presets()) {
    Json json = config_to_hf(preset.config);
    seed(folder, preset.name, json.dump());
    set_hf_storage(json, HfStorage::kFp8PowerOfTwo);
    seed(folder, preset.name + "-fp8", json.dump());
  }
  seed(folder, "rope_parameters",
       R"({"rope_parameters":{"rope_type":"yarn","rope_theta":1e4,"factor":40.0,)"
       R"("original_max_position_embeddings":4096,"beta_fast":32,"beta_slow":1},"dtype":"float32",)"
       R"("eos_token_id":[1,2],"q_lora_rank":null})");
}

void seed_safetensors(const std::string& folder) {
  const std::string header =
      safetensors_header_text({{.name = "a", .dtype = DType::kF32, .shape = {1, 2}},
                               {.name = "b", .dtype = DType::kU8, .shape = {3}}},
                              {{"format", "pt"}});
  seed(folder, "file", std::string("\0\0", 2) + header + std::string(11, '\1'));
  seed(folder, "header", std::string("\1\13", 2) + header.substr(8));
  seed(folder, "empty", std::string("\1\0{}", 4));
}

void seed_tokenizers(const std::string& folder) {
  const std::string rest =
      R"("normalizer":{"type":"Sequence","normalizers":[]},"pre_tokenizer":{"type":"Sequence",)"
      R"("pretokenizers":[{"type":"Split","pattern":{"Regex":"\\p{N}{1,3}"},"behavior":"Isolated",)"
      R"("invert":false},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,)"
      R"("use_regex":false}]},"post_processor":{"type":"ByteLevel"},"decoder":{"type":"ByteLevel"},)"
      R"("model":{"type":"BPE","dropout":null,"unk_token":null,"fuse_unk":false,)"
      R"("byte_fallback":false,"vocab":{"a":0,"b":1,"ab":2,"\u0120":3},"merges":)";
  const std::string added =
      R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":4,"content":"<e>",)"
      R"("single_word":false,"lstrip":false,"rstrip":false,"normalized":true,"special":true}],)";
  seed(folder, "strings", added + rest + R"(["a b"]}})");
  seed(folder, "pairs", added + rest + R"([["a","b"]]}})");
}

void seed_schedules(const std::string& folder) {
  for (const std::string& name : schedule_names()) {
    seed(folder, name, schedule_text(make_schedule(parse_schedule_kind(name), 2, 4)));
  }
  seed(folder, "computations",
       R"({"n_stages":2,"n_micro_batches":2,"ranks":[["F 0 0","F 0 1","Bi 0 0","W 0 0","B 0 1"],)"
       R"(["F 1 0","F&B 1 1 1 0","B 1 1"]]})");
}

void seed_templates(const std::string& folder) {
  seed(folder, "blocks",
       "{% set ns = namespace(s='', n=0) %}{%- for m in messages if m.role != 'x' -%}\n"
       "{% if m['content'] is none and loop.first %}{{ m.tool_calls | tojson(indent=2) }}"
       "{% elif 'a' in m.content %}{{ '<b>' + m.content.split('<')[-1] | trim }}{% else %}"
       "{% set ns.s = ns.s ~ m.content[1:] %}{% continue %}{% endif %}{% endfor %}{{ ns.s }}");
  seed(folder, "words",
       "{% macro m(a, b='c') %}{{ a | upper }}{{ b }}{% endmacro %}{{ m(1, b=[1, 2.5, none]) }}"
       "{% set x %}{{ messages | map(attribute='role') | join(', ') }}{% endset %}{{ x[::-1] }}"
       "{% raw %}{{ }}{% endraw %}{{ range(3) | list | sort(reverse=true) }}{# note #}"
       "{{ messages | selectattr('role', 'equalto', 'user') | list | length // 2 ** 3 }}"
       "{% generation %}{{ {'a': (1,)} }}{% endgeneration %}{{ raise_exception('no') if not "
       "bos_token }}");
}

void seed_all(const std::string& folder) {
  seed_json(folder + "/json");
  seed_configs(folder + "/config");
  seed_safetensors(folder + "/safetensors");
  seed_tokenizers(folder + "/tokenizer");
  seed_schedules(folder + "/schedule");
  seed_templates(folder + "/jinja");
  seed(folder + "/index", "two",
       R"({"metadata":{"total_size":8},"weight_map":{"a":"model-00001-of-000002.safetensors",)"
       R"("b":"model-00002-of-000002.safetensors"}})");
  seed(folder + "/toml", "run",
       "[model]\npreset = \"nano\"\n[train]\nsteps = 10\nbatch_size = 2\n[optim]\nlr = 1e-3\n"
       "[data]\nsources = [\"a\", \"b\"]\nwhen = 2026-01-01\n[[array]]\nx = {y = 0x1F, z = inf}\n");
  // Every setting by its name, which chance would not find.
  TrainConfig config;
  config.model.preset = "nano";
  config.model.overrides["n_routed_experts"] = 8;
  config.data.paths = {"a", "b/*.md"};
  config.train.out = "r";
  config.train.tokens = 10'000'000;
  seed(folder + "/toml", "settings", resolved_toml(config));
}

}  // namespace
}  // namespace hadal

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
    return 2;
  }
  hadal::seed_all(argv[1]);
  return 0;
}
