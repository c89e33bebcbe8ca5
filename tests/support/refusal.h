// tests/support/refusal.h: what a call refuses, in fields.
#pragma once

#include "hadal/core/error.h"

namespace hadal::test {

template <class Call>
Refusal refusal_of(const Call& call) {
  try {
    call();
  } catch (const ConfigError& error) {
    return error;
  }
  return {};  // nothing
}

}  // namespace hadal::test
