/* ONNX Runtime's C interface, as far as this engine uses it.
 *
 * It is a table of functions that only ever grows at its end, so that the start of it is the same
 * in every version. Declared here is that start, up to the last member called; there is no header
 * in the package that users install. The names and their order are ONNX Runtime's, and api_test.py
 * compares them with a published table. A member that is not called is ort_unused.
 *
 * Every call that may fail returns NULL or a status that the caller releases. What a call hands out
 * (ret_…) is the caller's to release with the Release… of its type, but for what
 * CastTypeInfoToTensorInfo and GetAllocatorWithDefaultOptions hand out, which is borrowed; names
 * are freed by AllocatorFree. Run, and everything on different objects, may be called by several
 * threads at once. */
#ifndef TENSORD_ENGINES_ONNX_API_H
#define TENSORD_ENGINES_ONNX_API_H

#include <stddef.h>
#include <stdint.h>

enum {
    ORT_API_VERSION = 19, /* of the table that is asked for: ONNX Runtime 1.19 */
};

enum ort_error_code {
    ORT_OK,
    ORT_FAIL,
    ORT_INVALID_ARGUMENT,
    ORT_NO_SUCH_FILE,
    ORT_NO_MODEL,
    ORT_ENGINE_ERROR,
    ORT_RUNTIME_EXCEPTION,
    ORT_INVALID_PROTOBUF,
    ORT_MODEL_LOADED,
    ORT_NOT_IMPLEMENTED,
    ORT_INVALID_GRAPH,
    ORT_EP_FAIL,
};

enum ort_severity { ORT_VERBOSE, ORT_INFO, ORT_WARNING, ORT_ERROR, ORT_FATAL };

/* What kind of thing a value is. */
enum ort_type {
    ORT_TYPE_UNKNOWN,
    ORT_TYPE_TENSOR,
    ORT_TYPE_SEQUENCE,
    ORT_TYPE_MAP,
    ORT_TYPE_OPAQUE,
    ORT_TYPE_SPARSE_TENSOR,
    ORT_TYPE_OPTIONAL,
};

/* Datatypes of tensors, as ONNX numbers them. */
enum ort_datatype {
    ORT_UNDEFINED,
    ORT_FLOAT,
    ORT_UINT8,
    ORT_INT8,
    ORT_UINT16,
    ORT_INT16,
    ORT_INT32,
    ORT_INT64,
    ORT_STRING,
    ORT_BOOL,
    ORT_FLOAT16,
    ORT_DOUBLE,
    ORT_UINT32,
    ORT_UINT64,
    ORT_COMPLEX64,
    ORT_COMPLEX128,
    ORT_BFLOAT16,
};

enum { ORT_SEQUENTIAL = 0, ORT_PARALLEL = 1 };

/* How far the graph is rewritten at load. */
enum {
    ORT_OPTIMIZE_NOTHING = 0,
    ORT_OPTIMIZE_BASIC = 1,
    ORT_OPTIMIZE_EXTENDED = 2,
    ORT_OPTIMIZE_ALL = 99
};

enum { ORT_DEVICE_ALLOCATOR = 0, ORT_MEMORY_DEFAULT = 0 };

struct ort_allocator;
struct ort_env;
struct ort_memory_info;
struct ort_provider_options;
struct ort_run_options;
struct ort_session;
struct ort_session_options;
struct ort_status;
struct ort_tensor_info;
struct ort_type_info;
struct ort_value;

typedef void ort_unused(void);

/* A line of its log. May be called by any thread. */
typedef void ort_log_function(void *data, int severity, const char *category, const char *id,
                              const char *place, const char *message);

struct ort_api {
    ort_unused *CreateStatus;
    int (*GetErrorCode)(const struct ort_status *);
    const char *(*GetErrorMessage)(const struct ort_status *);
    ort_unused *CreateEnv;
    struct ort_status *(*CreateEnvWithCustomLogger)(ort_log_function *log, void *log_data,
                                                    int severity, const char *id,
                                                    struct ort_env **ret_env);
    ort_unused *EnableTelemetryEvents;
    struct ort_status *(*DisableTelemetryEvents)(const struct ort_env *);
    struct ort_status *(*CreateSession)(const struct ort_env *, const char *path,
                                        const struct ort_session_options *,
                                        struct ort_session **ret_session);
    ort_unused *CreateSessionFromArray;
    struct ort_status *(*Run)(struct ort_session *, const struct ort_run_options *,
                              const char *const *input_names, const struct ort_value *const *inputs,
                              size_t input_count, const char *const *output_names,
                              size_t output_count, struct ort_value **outputs);
    struct ort_status *(*CreateSessionOptions)(struct ort_session_options **ret_options);
    ort_unused *SetOptimizedModelFilePath, *CloneSessionOptions;
    struct ort_status *(*SetSessionExecutionMode)(struct ort_session_options *options, int mode);
    ort_unused *EnableProfiling, *DisableProfiling, *EnableMemPattern;
    struct ort_status *(*DisableMemPattern)(struct ort_session_options *options);
    ort_unused *EnableCpuMemArena;
    struct ort_status *(*DisableCpuMemArena)(struct ort_session_options *options);
    ort_unused *SetSessionLogId, *SetSessionLogVerbosityLevel, *SetSessionLogSeverityLevel;
    struct ort_status *(*SetSessionGraphOptimizationLevel)(struct ort_session_options *options,
                                                           int level);
    struct ort_status *(*SetIntraOpNumThreads)(struct ort_session_options *options, int threads);
    struct ort_status *(*SetInterOpNumThreads)(struct ort_session_options *options, int threads);
    ort_unused *CreateCustomOpDomain, *CustomOpDomain_Add, *AddCustomOpDomain,
        *RegisterCustomOpsLibrary;
    struct ort_status *(*SessionGetInputCount)(const struct ort_session *, size_t *ret_count);
    struct ort_status *(*SessionGetOutputCount)(const struct ort_session *, size_t *ret_count);
    struct ort_status *(*SessionGetOverridableInitializerCount)(const struct ort_session *,
                                                                size_t *ret_count);
    struct ort_status *(*SessionGetInputTypeInfo)(const struct ort_session *, size_t index,
                                                  struct ort_type_info **ret_info);
    struct ort_status *(*SessionGetOutputTypeInfo)(const struct ort_session *, size_t index,
                                                   struct ort_type_info **ret_info);
    struct ort_status *(*SessionGetOverridableInitializerTypeInfo)(const struct ort_session *,
                                                                   size_t index,
                                                                   struct ort_type_info **ret_info);
    struct ort_status *(*SessionGetInputName)(const struct ort_session *, size_t index,
                                              struct ort_allocator *, char **ret_name);
    struct ort_status *(*SessionGetOutputName)(const struct ort_session *, size_t index,
                                               struct ort_allocator *, char **ret_name);
    struct ort_status *(*SessionGetOverridableInitializerName)(const struct ort_session *,
                                                               size_t index, struct ort_allocator *,
                                                               char **ret_name);
    struct ort_status *(*CreateRunOptions)(struct ort_run_options **ret_options);
    ort_unused *RunOptionsSetRunLogVerbosityLevel, *RunOptionsSetRunLogSeverityLevel,
        *RunOptionsSetRunTag, *RunOptionsGetRunLogVerbosityLevel, *RunOptionsGetRunLogSeverityLevel,
        *RunOptionsGetRunTag;
    struct ort_status *(*RunOptionsSetTerminate)(struct ort_run_options *);
    struct ort_status *(*RunOptionsUnsetTerminate)(struct ort_run_options *);
    struct ort_status *(*CreateTensorAsOrtValue)(struct ort_allocator *, const int64_t *shape,
                                                 size_t ndim, int datatype,
                                                 struct ort_value **ret_value);
    struct ort_status *(*CreateTensorWithDataAsOrtValue)(const struct ort_memory_info *, void *data,
                                                         size_t size_bytes, const int64_t *shape,
                                                         size_t ndim, int datatype,
                                                         struct ort_value **ret_value);
    struct ort_status *(*IsTensor)(const struct ort_value *, int *ret_is_tensor);
    struct ort_status *(*GetTensorMutableData)(struct ort_value *, void **ret_data);
    ort_unused *FillStringTensor;
    struct ort_status *(*GetStringTensorDataLength)(const struct ort_value *,
                                                    size_t *ret_size_bytes);
    struct ort_status *(*GetStringTensorContent)(const struct ort_value *, void *content,
                                                 size_t size_bytes, size_t *offsets, size_t count);
    struct ort_status *(*CastTypeInfoToTensorInfo)(const struct ort_type_info *,
                                                   const struct ort_tensor_info **ret_info);
    struct ort_status *(*GetOnnxTypeFromTypeInfo)(const struct ort_type_info *, int *ret_type);
    ort_unused *CreateTensorTypeAndShapeInfo, *SetTensorElementType, *SetDimensions;
    struct ort_status *(*GetTensorElementType)(const struct ort_tensor_info *, int *ret_datatype);
    struct ort_status *(*GetDimensionsCount)(const struct ort_tensor_info *, size_t *ret_ndim);
    struct ort_status *(*GetDimensions)(const struct ort_tensor_info *, int64_t *dims, size_t ndim);
    struct ort_status *(*GetSymbolicDimensions)(const struct ort_tensor_info *,
                                                const char **symbols, size_t ndim);
    ort_unused *GetTensorShapeElementCount;
    struct ort_status *(*GetTensorTypeAndShape)(const struct ort_value *,
                                                struct ort_tensor_info **ret_info);
    ort_unused *GetTypeInfo, *GetValueType, *CreateMemoryInfo;
    struct ort_status *(*CreateCpuMemoryInfo)(int allocator_type, int memory_type,
                                              struct ort_memory_info **ret_info);
    ort_unused *CompareMemoryInfo, *MemoryInfoGetName, *MemoryInfoGetId, *MemoryInfoGetMemType,
        *MemoryInfoGetType, *AllocatorAlloc;
    struct ort_status *(*AllocatorFree)(struct ort_allocator *, void *);
    ort_unused *AllocatorGetInfo;
    struct ort_status *(*GetAllocatorWithDefaultOptions)(struct ort_allocator **ret_allocator);
    ort_unused *AddFreeDimensionOverride, *GetValue, *GetValueCount, *CreateValue,
        *CreateOpaqueValue, *GetOpaqueValue, *KernelInfoGetAttribute_float,
        *KernelInfoGetAttribute_int64, *KernelInfoGetAttribute_string, *KernelContext_GetInputCount,
        *KernelContext_GetOutputCount, *KernelContext_GetInput, *KernelContext_GetOutput;
    void (*ReleaseEnv)(struct ort_env *);
    void (*ReleaseStatus)(struct ort_status *);
    void (*ReleaseMemoryInfo)(struct ort_memory_info *);
    void (*ReleaseSession)(struct ort_session *);
    void (*ReleaseValue)(struct ort_value *);
    void (*ReleaseRunOptions)(struct ort_run_options *);
    void (*ReleaseTypeInfo)(struct ort_type_info *);
    void (*ReleaseTensorTypeAndShapeInfo)(struct ort_tensor_info *);
    void (*ReleaseSessionOptions)(struct ort_session_options *);
    ort_unused *ReleaseCustomOpDomain, *GetDenotationFromTypeInfo, *CastTypeInfoToMapTypeInfo,
        *CastTypeInfoToSequenceTypeInfo, *GetMapKeyType, *GetMapValueType, *GetSequenceElementType,
        *ReleaseMapTypeInfo, *ReleaseSequenceTypeInfo, *SessionEndProfiling,
        *SessionGetModelMetadata, *ModelMetadataGetProducerName, *ModelMetadataGetGraphName,
        *ModelMetadataGetDomain, *ModelMetadataGetDescription,
        *ModelMetadataLookupCustomMetadataMap, *ModelMetadataGetVersion, *ReleaseModelMetadata,
        *CreateEnvWithGlobalThreadPools, *DisablePerSessionThreads, *CreateThreadingOptions,
        *ReleaseThreadingOptions, *ModelMetadataGetCustomMetadataMapKeys,
        *AddFreeDimensionOverrideByName;
    struct ort_status *(*GetAvailableProviders)(char ***ret_names, int *ret_count);
    struct ort_status *(*ReleaseAvailableProviders)(char **names, int count);
    ort_unused *GetStringTensorElementLength, *GetStringTensorElement, *FillStringTensorElement;
    struct ort_status *(*AddSessionConfigEntry)(struct ort_session_options *options,
                                                const char *key, const char *value);
    ort_unused *CreateAllocator, *ReleaseAllocator, *RunWithBinding, *CreateIoBinding,
        *ReleaseIoBinding, *BindInput, *BindOutput, *BindOutputToDevice, *GetBoundOutputNames,
        *GetBoundOutputValues, *ClearBoundInputs, *ClearBoundOutputs, *TensorAt,
        *CreateAndRegisterAllocator, *SetLanguageProjection, *SessionGetProfilingStartTimeNs,
        *SetGlobalIntraOpNumThreads, *SetGlobalInterOpNumThreads, *SetGlobalSpinControl,
        *AddInitializer, *CreateEnvWithCustomLoggerAndGlobalThreadPools,
        *SessionOptionsAppendExecutionProvider_CUDA, *SessionOptionsAppendExecutionProvider_ROCM,
        *SessionOptionsAppendExecutionProvider_OpenVINO, *SetGlobalDenormalAsZero, *CreateArenaCfg,
        *ReleaseArenaCfg, *ModelMetadataGetGraphDescription,
        *SessionOptionsAppendExecutionProvider_TensorRT, *SetCurrentGpuDeviceId,
        *GetCurrentGpuDeviceId, *KernelInfoGetAttributeArray_float,
        *KernelInfoGetAttributeArray_int64, *CreateArenaCfgV2, *AddRunConfigEntry,
        *CreatePrepackedWeightsContainer, *ReleasePrepackedWeightsContainer,
        *CreateSessionWithPrepackedWeightsContainer,
        *CreateSessionFromArrayWithPrepackedWeightsContainer;
    struct ort_status *(*SessionOptionsAppendExecutionProvider_TensorRT_V2)(
        struct ort_session_options *options, const struct ort_provider_options *);
    struct ort_status *(*CreateTensorRTProviderOptions)(struct ort_provider_options **ret_options);
    struct ort_status *(*UpdateTensorRTProviderOptions)(struct ort_provider_options *options,
                                                        const char *const *keys,
                                                        const char *const *values, size_t count);
    ort_unused *GetTensorRTProviderOptionsAsString;
    void (*ReleaseTensorRTProviderOptions)(struct ort_provider_options *);
    ort_unused *EnableOrtCustomOps, *RegisterAllocator, *UnregisterAllocator, *IsSparseTensor,
        *CreateSparseTensorAsOrtValue, *FillSparseTensorCoo, *FillSparseTensorCsr,
        *FillSparseTensorBlockSparse, *CreateSparseTensorWithValuesAsOrtValue, *UseCooIndices,
        *UseCsrIndices, *UseBlockSparseIndices, *GetSparseTensorFormat,
        *GetSparseTensorValuesTypeAndShape, *GetSparseTensorValues,
        *GetSparseTensorIndicesTypeShape, *GetSparseTensorIndices, *HasValue,
        *KernelContext_GetGPUComputeStream, *GetTensorMemoryInfo, *GetExecutionProviderApi,
        *SessionOptionsSetCustomCreateThreadFn, *SessionOptionsSetCustomThreadCreationOptions,
        *SessionOptionsSetCustomJoinThreadFn, *SetGlobalCustomCreateThreadFn,
        *SetGlobalCustomThreadCreationOptions, *SetGlobalCustomJoinThreadFn,
        *SynchronizeBoundInputs, *SynchronizeBoundOutputs;
    struct ort_status *(*SessionOptionsAppendExecutionProvider_CUDA_V2)(
        struct ort_session_options *options, const struct ort_provider_options *);
    struct ort_status *(*CreateCUDAProviderOptions)(struct ort_provider_options **ret_options);
    struct ort_status *(*UpdateCUDAProviderOptions)(struct ort_provider_options *options,
                                                    const char *const *keys,
                                                    const char *const *values, size_t count);
    ort_unused *GetCUDAProviderOptionsAsString;
    void (*ReleaseCUDAProviderOptions)(struct ort_provider_options *);
    ort_unused *SessionOptionsAppendExecutionProvider_MIGraphX, *AddExternalInitializers,
        *CreateOpAttr, *ReleaseOpAttr, *CreateOp, *InvokeOp, *ReleaseOp,
        *SessionOptionsAppendExecutionProvider, *CopyKernelInfo, *ReleaseKernelInfo,
        *GetTrainingApi, *SessionOptionsAppendExecutionProvider_CANN, *CreateCANNProviderOptions,
        *UpdateCANNProviderOptions, *GetCANNProviderOptionsAsString, *ReleaseCANNProviderOptions,
        *MemoryInfoGetDeviceType, *UpdateEnvWithCustomLogLevel, *SetGlobalIntraOpThreadAffinity,
        *RegisterCustomOpsLibrary_V2, *RegisterCustomOpsUsingFunction, *KernelInfo_GetInputCount,
        *KernelInfo_GetOutputCount, *KernelInfo_GetInputName, *KernelInfo_GetOutputName,
        *KernelInfo_GetInputTypeInfo, *KernelInfo_GetOutputTypeInfo, *KernelInfoGetAttribute_tensor,
        *HasSessionConfigEntry, *GetSessionConfigEntry, *SessionOptionsAppendExecutionProvider_Dnnl,
        *CreateDnnlProviderOptions, *UpdateDnnlProviderOptions, *GetDnnlProviderOptionsAsString,
        *ReleaseDnnlProviderOptions, *KernelInfo_GetNodeName, *KernelInfo_GetLogger,
        *KernelContext_GetLogger, *Logger_LogMessage, *Logger_GetLoggingSeverityLevel,
        *KernelInfoGetConstantInput_tensor, *CastTypeInfoToOptionalTypeInfo,
        *GetOptionalContainedTypeInfo;
    struct ort_status *(*GetResizedStringTensorElementBuffer)(struct ort_value *, size_t index,
                                                              size_t size_bytes, char **ret_buffer);
    ort_unused *KernelContext_GetAllocator, *GetBuildInfoString, *CreateROCMProviderOptions,
        *UpdateROCMProviderOptions, *GetROCMProviderOptionsAsString, *ReleaseROCMProviderOptions,
        *CreateAndRegisterAllocatorV2, *RunAsync, *UpdateTensorRTProviderOptionsWithValue,
        *GetTensorRTProviderOptionsByName, *UpdateCUDAProviderOptionsWithValue,
        *GetCUDAProviderOptionsByName, *KernelContext_GetResource, *SetUserLoggingFunction,
        *ShapeInferContext_GetInputCount, *ShapeInferContext_GetInputTypeShape,
        *ShapeInferContext_GetAttribute, *ShapeInferContext_SetOutputTypeShape,
        *SetSymbolicDimensions, *ReadOpAttr, *SetDeterministicCompute, *KernelContext_ParallelFor;
    struct ort_status *(*SessionOptionsAppendExecutionProvider_OpenVINO_V2)(
        struct ort_session_options *options, const char *const *keys, const char *const *values,
        size_t count);
};

/* What the library's one symbol, OrtGetApiBase, returns. */
struct ort_api_base {
    const struct ort_api *(*GetApi)(uint32_t version); /* NULL: the library is older */
    const char *(*GetVersionString)(void);
};

#endif
