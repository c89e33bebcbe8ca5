# hadal_embed(TARGET FILE FUNCTION): makes the text of FILE available as `std::string_view FUNCTION()`
# (declared by hand in a header), so that the binary needs no data files beside it.
function(hadal_embed target file function)
  set(path ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
  file(READ ${path} EMBED_TEXT)
  set(EMBED_FUNCTION ${function})
  configure_file(${CMAKE_SOURCE_DIR}/cmake/embedded_text.cc.in
                 ${CMAKE_BINARY_DIR}/embedded/${function}.cc @ONLY)
  target_sources(${target} PRIVATE ${CMAKE_BINARY_DIR}/embedded/${function}.cc)
endfunction()
