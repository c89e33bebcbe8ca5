// Do the card's tensor cores add as kernels/reference/tensor_core_sum.h says? Bit for bit, on random and on
// spiteful operands. Where they do not, the test prints cases and looks for the rule that explains them.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "hadal/kernels/cuda/hopper/tensor_core_probe.h"
#include "tests/cuda/device_array.h"
#include "tests/support/sum_cases.h"

namespace hadal::test {
namespace {

// How the instructions of a case are issued.
struct Issue {
  const char* name;
  int instructions;
  bool four_in_flight;
};
constexpr Issue kOne{"one instruction", 1, false};
constexpr Issue kFour{"four, each waited for", 4, false};
constexpr Issue kFourInFlight{"four in flight", 4, true};

struct Case {
  std::vector<uint16_t> a, b;
  float accumulator, got;
  const char* kind;
};

uint32_t bits(float value) { return std::bit_cast<uint32_t>(value); }

std::vector<uint8_t> packed(const CodeFormat& format, const std::vector<uint16_t>& codes) {
  const auto width = static_cast<size_t>(format.code_bytes);
  std::vector<uint8_t> bytes(codes.size() * width);
  for (size_t i = 0; i < codes.size(); ++i) std::memcpy(bytes.data() + i * width, &codes[i], width);
  return bytes;
}

// [tiles][64][8]; without accumulators: from zero.
std::vector<float> on_card(const CodeFormat& format, const SumTiles& t, const Issue& issue,
                           bool from_zero = false) {
  const DeviceArray<uint8_t> a(packed(format, t.a)), b(packed(format, t.b));
  const DeviceArray<float> accumulator(t.accumulator);
  DeviceArray<float> out(std::ssize(t.accumulator));
  cuda::TensorCoreProbe probe;
  probe.operands = format.code_bytes == 1 ? cuda::ProbeOperands::kE4M3 : cuda::ProbeOperands::kBF16;
  probe.a = a.data();
  probe.b = b.data();
  probe.accumulator = from_zero ? nullptr : accumulator.data();
  probe.out = out.data();
  probe.tiles = t.tiles;
  probe.instructions = issue.instructions;
  probe.four_in_flight = issue.four_in_flight;
  cuda::tensor_core_probe(nullptr, probe);
  return out.host();
}

void print(const CodeFormat& format, const Case& c, float want) {
  std::printf("  %s, %s: accumulator %08x (%g), card %08x (%g), rule %08x (%g)\n    a", format.name,
              c.kind, bits(c.accumulator), double{c.accumulator}, bits(c.got), double{c.got},
              bits(want), double{want});
  for (const uint16_t code : c.a) std::printf(" %0*x", 2 * format.code_bytes, code);
  std::printf("\n    b");
  for (const uint16_t code : c.b) std::printf(" %0*x", 2 * format.code_bytes, code);
  std::printf("\n");
}

size_t explained(const CodeFormat& format, const SumRule& rule, std::span<const Case> cases) {
  return static_cast<size_t>(std::ranges::count_if(cases, [&](const Case& c) {
    return bits(sum_by_rule(format, rule, c.a, c.b, c.accumulator)) == bits(c.got);
  }));
}

// The rules of the family that explain most of the cases; cases alternate between what the emulator gets
// right and what it gets wrong, so that a rule must explain both.
void print_best_rules(const CodeFormat& format, std::span<const Case> cases) {
  constexpr size_t kGlance = 120, kKept = 40, kShown = 10;
  struct Scored {
    size_t score;
    SumRule rule;
  };
  std::vector<Scored> scored;
  const auto glance = cases.first(std::min(kGlance, cases.size()));
  for (const SumRule& rule : rules_to_try(format)) {
    scored.push_back({explained(format, rule, glance), rule});
  }
  const auto better = [](const Scored& a, const Scored& b) { return a.score > b.score; };
  std::ranges::stable_sort(scored, better);
  scored.resize(std::min(kKept, scored.size()));
  for (Scored& s : scored) s.score = explained(format, s.rule, cases);
  std::ranges::stable_sort(scored, better);
  scored.resize(std::min(kShown, scored.size()));
  for (const Scored& s : scored) {
    std::printf("  explains %zu of %zu: %s\n", s.score, cases.size(), text_of(s.rule).c_str());
  }
}

// Compares every kind of case with the emulator.
void compare(const CodeFormat& format, const Issue& issue, int64_t tiles) {
  constexpr size_t kEnough = 600;  // cases of each sort for the search
  std::vector<Case> wrong, right;
  int64_t n_cases = 0, n_wrong = 0;
  for (size_t kind = 0; kind < sum_kinds().size(); ++kind) {
    const SumTiles t = sum_tiles(format, kind, tiles, issue.instructions, 11);
    const std::vector<float> got = on_card(format, t, issue);
    const auto pairs = static_cast<size_t>(t.pairs);
    int64_t wrong_of_kind = 0, first_of_kind = 0, right_of_kind = 0;
    for (int64_t n = 0; n < t.tiles * SumTiles::kCases; ++n) {
      const auto i = static_cast<size_t>(n);
      const std::span a(t.row_a(n), pairs), b(t.row_b(n), pairs);
      const float want = sum_by_emulator(format, a, b, t.accumulator[i]);
      const bool same = bits(got[i]) == bits(want);
      if (!same) ++wrong_of_kind;
      // Of every kind its share, so that one kind does not fill the sample.
      int64_t& taken = same ? right_of_kind : first_of_kind;
      if (++taken > static_cast<int64_t>(kEnough / sum_kinds().size())) continue;
      Case c{{a.begin(), a.end()},
             {b.begin(), b.end()},
             t.accumulator[i],
             got[i],
             sum_kinds()[kind].name};
      if (!same && taken == 1 && issue.instructions == 1) print(format, c, want);
      (same ? right : wrong).push_back(std::move(c));
    }
    if (wrong_of_kind > 0) {
      std::printf("%s, %s, %s: %lld of %lld differ\n", format.name, issue.name,
                  sum_kinds()[kind].name, static_cast<long long>(wrong_of_kind),
                  static_cast<long long>(t.tiles * SumTiles::kCases));
    }
    n_cases += t.tiles * SumTiles::kCases;
    n_wrong += wrong_of_kind;
  }
  std::printf("%s, %s: %lld of %lld cases differ from the emulator\n", format.name, issue.name,
              static_cast<long long>(n_wrong), static_cast<long long>(n_cases));
  EXPECT_EQ(n_wrong, 0);
  if (n_wrong == 0) return;
  std::vector<Case> sample;
  for (size_t i = 0; i < std::max(wrong.size(), right.size()); ++i) {
    if (i < wrong.size()) sample.push_back(wrong[i]);
    if (i < right.size()) sample.push_back(right[i]);
  }
  // Kinds in turn rather than one after another: the glance sees all of them.
  std::vector<Case> turned;
  const size_t stride = 37;
  for (size_t begin = 0; begin < stride; ++begin) {
    for (size_t i = begin; i < sample.size(); i += stride) turned.push_back(sample[i]);
  }
  print_best_rules(format, turned);
}

class TensorCoreSumOnCard : public testing::TestWithParam<CodeFormat> {
 protected:
  void SetUp() override {
    if (!has_card()) GTEST_SKIP() << "no card here";
  }
};

// Sums that no rule rounds: a mistake of layout or of a descriptor is seen here and not as a rounding.
TEST_P(TensorCoreSumOnCard, SmallIntegersAreExact) {
  const CodeFormat format = GetParam();
  ASSERT_TRUE(sum_kinds()[0].exact);
  for (const Issue& issue : {kOne, kFour, kFourInFlight}) {
    const SumTiles t = sum_tiles(format, 0, 3, issue.instructions, 5);
    const std::vector<float> got = on_card(format, t, issue);
    int shown = 0;
    for (size_t n = 0; n < got.size() && shown < 8; ++n) {
      const auto pairs = static_cast<size_t>(t.pairs);
      const std::span a(t.row_a(static_cast<int64_t>(n)), pairs);
      const std::span b(t.row_b(static_cast<int64_t>(n)), pairs);
      const float want =
          sum_by_rule(format, SumRule{60, 23}, a, b, t.accumulator[n]);  // nothing is cut
      if (got[n] == want) continue;
      ADD_FAILURE() << issue.name << ", tile " << n / 512 << ", row " << n % 512 / 8 << ", column "
                    << n % 8 << ": got " << got[n] << ", want " << want;
      ++shown;
    }
  }
}

TEST_P(TensorCoreSumOnCard, OneInstructionIsTheEmulators) { compare(GetParam(), kOne, 160); }
TEST_P(TensorCoreSumOnCard, FourInARowAreTheEmulators) { compare(GetParam(), kFour, 24); }
TEST_P(TensorCoreSumOnCard, FourInFlightAreTheEmulators) { compare(GetParam(), kFourInFlight, 24); }

// Ignoring the accumulator is starting from zero, whatever stands in the registers.
TEST_P(TensorCoreSumOnCard, AnIgnoredAccumulatorIsZero) {
  const CodeFormat format = GetParam();
  SumTiles t = sum_tiles(format, 3, 8, 4, 17);
  const std::vector<float> got = on_card(format, t, kFourInFlight, /*from_zero=*/true);
  const auto pairs = static_cast<size_t>(t.pairs);
  for (size_t n = 0; n < got.size(); ++n) {
    const auto i = static_cast<int64_t>(n);
    const float want = sum_by_emulator(format, {t.row_a(i), pairs}, {t.row_b(i), pairs}, 0.0F);
    ASSERT_EQ(bits(got[n]), bits(want)) << n;
  }
}

TEST_P(TensorCoreSumOnCard, InfinitiesAndNaNAreTheEmulators) {
  const CodeFormat format = GetParam();
  SumTiles t = sum_tiles(format, 3, 8, 1, 19);
  const auto nan = static_cast<uint16_t>(format.code_bytes == 1 ? 0x7F : 0x7FC1);
  for (size_t i = 0; i < t.a.size(); i += 97)
    t.a[i] = i % 2 == 0 ? nan : nan | 1 << format.sign_bit();
  for (size_t i = 0; i < t.accumulator.size(); i += 13) {
    const float infinity = std::numeric_limits<float>::infinity();
    t.accumulator[i] = i % 3 == 0 ? infinity : i % 3 == 1 ? -infinity : std::nanf("");
  }
  if (format.code_bytes == 2) {
    for (size_t i = 5; i < t.a.size(); i += 101) t.a[i] = i % 2 == 0 ? 0x7F80 : 0xFF80;
    for (size_t i = 7; i < t.b.size(); i += 211) t.b[i] = i % 2 == 0 ? 0x7F80 : 0;
  }
  const std::vector<float> got = on_card(format, t, kOne);
  const auto pairs = static_cast<size_t>(t.pairs);
  int shown = 0;
  for (size_t n = 0; n < got.size() && shown < 8; ++n) {
    const auto i = static_cast<int64_t>(n);
    const float want =
        sum_by_emulator(format, {t.row_a(i), pairs}, {t.row_b(i), pairs}, t.accumulator[n]);
    if (bits(got[n]) == bits(want)) continue;
    ADD_FAILURE() << "case " << n << ": got " << std::hex << bits(got[n]) << ", want " << bits(want)
                  << ", accumulator " << bits(t.accumulator[n]);
    ++shown;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, TensorCoreSumOnCard, testing::Values(kE4M3Format, kBF16Format),
                         [](const auto& which) { return std::string(which.param.name); });

}  // namespace
}  // namespace hadal::test
