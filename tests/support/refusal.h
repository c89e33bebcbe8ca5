// tests/support/refusal.h: what a call refuses, in fields or in words.
#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <string>

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

template <class E = ConfigError, class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const E& error) {
    return error.what();
  }
  return "no error";
}

// The call throws an `E` whose line has `names` in it: the setting, file or place and what is wrong
// there ("n_group: groups must be equal").
template <class E, class Call>
void expect_refused(const Call& call, const std::string& names) {
  try {
    call();
  } catch (const E& error) {
    EXPECT_NE(std::string(error.what()).find(names), std::string::npos)
        << error.what() << ", which does not say " << names;
    return;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another error than that of " << names << ": " << error.what();
    return;
  }
  ADD_FAILURE() << "not refused: " << names;
}

}  // namespace hadal::test
