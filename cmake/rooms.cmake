# Files compiled together parse their headers and instantiate their templates once: a fresh build takes
# less than half the time (docs/log.md). OFF where one edited file should be one compiled file.
option(HADAL_BATCHES "compile the files of a room in batches" ON)
function(hadal_batches target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${HADAL_BATCHES} UNITY_BUILD_BATCH_SIZE 8)
  # In a batch g++ takes a .cc for a header, where an anonymous namespace would be a mistake.
  if(HADAL_BATCHES AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)
  endif()
endfunction()

# hadal_room(NAME rooms... [EXTERNAL libraries...]): one folder of hadal/ as one static library.
# The rooms named are those it may include; tools/check_rooms.py holds the sources to the same table.
function(hadal_room name)
  cmake_parse_arguments(R "" "" "EXTERNAL" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/hadal/${name}/*.cc)
  if(NOT sources)
    return()
  endif()
  add_library(hadal_${name} STATIC ${sources})
  target_link_libraries(hadal_${name} PUBLIC hadal_flags)
  hadal_batches(hadal_${name})
  foreach(room ${R_UNPARSED_ARGUMENTS})
    if(TARGET hadal_${room})
      target_link_libraries(hadal_${name} PUBLIC hadal_${room})
    endif()
  endforeach()
  target_link_libraries(hadal_${name} PRIVATE ${R_EXTERNAL})
endfunction()
