# cmake -DOUT=FILE -DNAME=kAbiStamp -DVERSION=... -DHEADERS=a.h;b.h -P abi_stamp.cmake: writes the
# stamp by which a program and its plug-ins know that they were compiled against the same headers.
set(text "")
foreach(header ${HEADERS})
  file(SHA256 ${header} hash)
  string(APPEND text ${hash})
endforeach()
string(SHA256 hash "${text}")
string(SUBSTRING ${hash} 0 12 hash)
file(WRITE ${OUT}.new "#pragma once
namespace lockstep {
inline constexpr const char* ${NAME} = \"${VERSION}-${hash}\";
}  // namespace lockstep
")
execute_process(COMMAND ${CMAKE_COMMAND} -E copy_if_different ${OUT}.new ${OUT})
