/* Where ONNX Runtime's library lies on this machine. Nothing but the C library is needed here, so
 * that whoever confines the process may ask first, and grant what is found. */
#ifndef TENSORD_ENGINES_ONNX_FIND_H
#define TENSORD_ENGINES_ONNX_FIND_H

#include <limits.h>
#include <stdbool.h>

/* Writes the path of the library into ret_path, or the bare name that the dynamic loader may know
 * when no file was found.
 *
 * With `named` (the user's wish: the library, the folder of the package, or a Python environment)
 * only that is looked at, and false means that there is no such library in it. Without, the Python
 * environments of VIRTUAL_ENV and CONDA_PREFIX come first, then the user's own packages, that of
 * the python3 on PATH, and the system's. Only names are looked at. Reads the environment; any
 * thread may call it while nobody changes that. */
bool onnx_find(const char *named, char ret_path[static PATH_MAX]);

#endif
