// corpus/pod_text.h: the readable text of a Perl documentation file (perlpod): commands become
// headings and list marks, B<>, C<>, L<> and their kin give way to their content. It never fails.
#pragma once

#include <string>
#include <string_view>

namespace hadal {

std::string pod_text(std::string_view pod);

}  // namespace hadal
