// plan/worksheet.h: numbers that know where they come from.
//
// A plan is a sheet of named cells. A cell is an input (published, measured, assumed, given on the
// command line, or counted from the model's shape), a formula over other cells, or computed by a
// procedure (a simulation). A formula is kept as text and that text is what is evaluated, so what
// `--explain` shows is what was done, and any input can be changed to see the rest move.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hadal/core/json.h"

namespace hadal {

enum class Origin {
  kPublished,  // printed in a report; `note` says which
  kMeasured,   // measured by hadal, or by the publisher on real hardware
  kAssumed,    // our choice; the plan is only as good as this
  kGiven,      // by the user: an option, a file, --set
  kModel,      // counted from the model's configuration
  kDerived,    // a formula
  kSimulated,  // a procedure, named in `note`
};
const char* origin_name(Origin origin);  // "published", ...

class Worksheet {
 public:
  Worksheet();
  ~Worksheet();
  Worksheet(Worksheet&&) noexcept;
  Worksheet& operator=(Worksheet&&) noexcept;

  // Cells defined from here on belong to this section ("memory", "Memory per GPU").
  void section(const std::string& key, const std::string& title);

  // Names are snake_case and unique; units are plain text ("B", "FLOP/token", "GPU-hours", "").
  void input(const std::string& name, double value, const std::string& unit, Origin origin,
             const std::string& note);
  // `expression` in the usual syntax (+ - * / ^, comparisons, c ? a : b, min, max, ceil, floor,
  // sqrt, log2) over names of cells, also of cells defined later.
  void formula(const std::string& name, const std::string& expression, const std::string& unit,
               const std::string& note);
  // `procedure` reads the cells named in `inputs`, and only those.
  void computed(const std::string& name, const std::vector<std::string>& inputs,
                std::function<double(const Worksheet&)> procedure, const std::string& unit,
                const std::string& note);
  // What a publication says a cell should be; shown with the deviation.
  // calibrated: an input was chosen so that the cell comes out as published, which proves nothing.
  void published(const std::string& name, double value, const std::string& source,
                 bool calibrated = false);

  bool has(const std::string& name) const;
  // Evaluates what is needed, once. ConfigError: no such cell (with the nearest name), a result
  // that is not finite (naming the cell and its inputs), or cells that need each other.
  double value(const std::string& name) const;
  // Gives a cell another value: an input, or a formula whose result the user knows better. The
  // origin becomes kGiven. ConfigError with the nearest name, or for a value that is not finite.
  void set(const std::string& name, double value);
  void reset(const std::string& name);  // undoes set()

  struct Cell {
    std::string name, section, unit, formula, note;
    Origin origin;
    std::vector<std::string> inputs;  // cells it reads, in order of appearance
    // A value given in place of a formula has nothing behind it.
    bool has_derivation() const { return origin != Origin::kGiven && !inputs.empty(); }
  };
  struct Section {
    std::string key, title;
  };
  struct Published {
    std::string name, source;
    double value;
    bool calibrated;
  };
  const std::vector<Section>& sections() const;
  const std::vector<Cell>& cells() const;  // in order of definition
  const Cell& cell(const std::string& name) const;
  const std::vector<Published>& published_values() const;

  // The derivation of a cell down to its inputs, each once.
  Json explain_json(const std::string& name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hadal
