// jinja/filters.h: the two files of filters.
#pragma once

#include "hadal/jinja/runtime.h"

namespace hadal::jinja {

// The filters that go through a list: join, list, first, last, map, select, reject, selectattr,
// rejectattr, sort, reverse, unique, sum, min, max. Nothing for another name.
std::optional<Value> apply_list_filter(Runtime& runtime, const std::string& name,
                                       const Value& value, const Arguments& arguments);

}  // namespace hadal::jinja
