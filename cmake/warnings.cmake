# Flags that every target of hadal is compiled with. Warnings are errors.
add_library(hadal_flags INTERFACE)
target_include_directories(hadal_flags INTERFACE ${CMAKE_SOURCE_DIR})
# -ffp-contract=off: contracting a*b+c by inlining decisions would make results depend on the build.
target_compile_options(hadal_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -ffp-contract=off>)
# g++ 12 sees overlapping copies in "literal" + std::string that are none (its bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  target_compile_options(hadal_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()
if(HADAL_SANITIZE)
  target_compile_options(hadal_flags INTERFACE -fsanitize=${HADAL_SANITIZE}
                         -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  # g++ 12 takes std::regex under ASan for uninitialised (its bug 105562).
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(hadal_flags INTERFACE
      $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)
  endif()
  target_link_options(hadal_flags INTERFACE -fsanitize=${HADAL_SANITIZE})
endif()
