// core/host_name.h: what this computer calls itself; ranks with equal names share one.
#pragma once

#include <string>

namespace hadal {

std::string host_name();  // "" where the system does not say

}  // namespace hadal
