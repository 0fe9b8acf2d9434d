/* llhttp's header, whose enumerators of methods have the same names as http.h's: here they get
 * others. Only http1_parser.h includes this. */
#ifndef TENSORD_PROTOCOL_HTTP1_LLHTTP_H
#define TENSORD_PROTOCOL_HTTP1_LLHTTP_H

#define HTTP_DELETE LLHTTP_DELETE
#define HTTP_GET LLHTTP_GET
#define HTTP_HEAD LLHTTP_HEAD
#define HTTP_POST LLHTTP_POST
#define HTTP_PUT LLHTTP_PUT
#define HTTP_OPTIONS LLHTTP_OPTIONS
#define HTTP_PATCH LLHTTP_PATCH

#include <llhttp.h>

#undef HTTP_DELETE
#undef HTTP_GET
#undef HTTP_HEAD
#undef HTTP_POST
#undef HTTP_PUT
#undef HTTP_OPTIONS
#undef HTTP_PATCH

#endif
