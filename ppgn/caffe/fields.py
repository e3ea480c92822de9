"""The messages of Caffe's schema as text: names, numbers and types of BVLC/caffe, `src/caffe/proto/caffe.proto`.

Each field reads `number name type`, with `*` for repeated and `**` for repeated and packed. The dimensions of a blob have 64 bits
where upstream has 32. They look the same on the wire, and a dimension that is too large is then seen instead of wrapping around.
A field is present or absent here; its default stands beside the layer that uses it.
"""

ENUMS = {
    "Phase": "TRAIN=0 TEST=1",
    "FillerParameter.VarianceNorm": "FAN_IN=0 FAN_OUT=1 AVERAGE=2",
    "ParamSpec.DimCheckMode": "STRICT=0 PERMISSIVE=1",
    "LossParameter.NormalizationMode": "FULL=0 VALID=1 BATCH_SIZE=2 NONE=3",
    "PoolingParameter.PoolMethod": "MAX=0 AVE=1 STOCHASTIC=2",
    "PoolingParameter.RoundMode": "CEIL=0 FLOOR=1",
    "EltwiseParameter.EltwiseOp": "PROD=0 SUM=1 MAX=2",
    "LRNParameter.NormRegion": "ACROSS_CHANNELS=0 WITHIN_CHANNEL=1",
    "ReductionParameter.ReductionOp": "SUM=1 ASUM=2 SUMSQ=3 MEAN=4",
    "HingeLossParameter.Norm": "L1=1 L2=2",
    "DataParameter.DB": "LEVELDB=0 LMDB=1",
    "ConvolutionParameter.Engine": "DEFAULT=0 CAFFE=1 CUDNN=2",
    "V1LayerParameter.LayerType": (
        "NONE=0 ABSVAL=35 ACCURACY=1 ARGMAX=30 BNLL=2 CONCAT=3 CONTRASTIVE_LOSS=37 CONVOLUTION=4 DATA=5 DECONVOLUTION=39 "
        "DROPOUT=6 DUMMY_DATA=32 EUCLIDEAN_LOSS=7 ELTWISE=25 EXP=38 FLATTEN=8 HDF5_DATA=9 HDF5_OUTPUT=10 HINGE_LOSS=28 "
        "IM2COL=11 IMAGE_DATA=12 INFOGAIN_LOSS=13 INNER_PRODUCT=14 LRN=15 MEMORY_DATA=29 MULTINOMIAL_LOGISTIC_LOSS=16 "
        "MVN=34 POOLING=17 POWER=26 RELU=18 SIGMOID=19 SIGMOID_CROSS_ENTROPY_LOSS=27 SILENCE=36 SOFTMAX=20 SOFTMAX_LOSS=21 "
        "SPLIT=22 SLICE=33 TANH=23 WINDOW_DATA=24 THRESHOLD=31"
    ),
}

# Types of the parameters that a layer may hold in any form; LAYER_NUMBERS has their field numbers in each form.
LAYER_PARAMETERS = {
    "accuracy_param": "AccuracyParameter", "argmax_param": "ArgMaxParameter", "batch_norm_param": "BatchNormParameter",
    "bias_param": "BiasParameter", "clip_param": "ClipParameter", "concat_param": "ConcatParameter",
    "contrastive_loss_param": "ContrastiveLossParameter", "convolution_param": "ConvolutionParameter",
    "crop_param": "CropParameter", "data_param": "DataParameter", "dropout_param": "DropoutParameter",
    "dummy_data_param": "DummyDataParameter", "eltwise_param": "EltwiseParameter", "elu_param": "ELUParameter",
    "embed_param": "EmbedParameter", "exp_param": "ExpParameter", "flatten_param": "FlattenParameter",
    "hdf5_data_param": "HDF5DataParameter", "hdf5_output_param": "HDF5OutputParameter", "hinge_loss_param": "HingeLossParameter",
    "image_data_param": "ImageDataParameter", "infogain_loss_param": "InfogainLossParameter",
    "inner_product_param": "InnerProductParameter", "input_param": "InputParameter", "log_param": "LogParameter",
    "loss_param": "LossParameter", "lrn_param": "LRNParameter", "memory_data_param": "MemoryDataParameter",
    "mvn_param": "MVNParameter", "parameter_param": "ParameterParameter", "pooling_param": "PoolingParameter",
    "power_param": "PowerParameter", "prelu_param": "PReLUParameter", "python_param": "PythonParameter",
    "recurrent_param": "RecurrentParameter", "reduction_param": "ReductionParameter", "relu_param": "ReLUParameter",
    "reshape_param": "ReshapeParameter", "scale_param": "ScaleParameter", "sigmoid_param": "SigmoidParameter",
    "slice_param": "SliceParameter", "softmax_param": "SoftmaxParameter", "spp_param": "SPPParameter",
    "swish_param": "SwishParameter", "tanh_param": "TanHParameter", "threshold_param": "ThresholdParameter",
    "tile_param": "TileParameter", "transform_param": "TransformationParameter", "window_data_param": "WindowDataParameter",
}  # fmt: skip

LAYER_NUMBERS = {
    "LayerParameter": (
        "100 transform 101 loss 102 accuracy 103 argmax 104 concat 105 contrastive_loss 106 convolution 107 data 108 dropout "
        "109 dummy_data 110 eltwise 111 exp 112 hdf5_data 113 hdf5_output 114 hinge_loss 115 image_data 116 infogain_loss "
        "117 inner_product 118 lrn 119 memory_data 120 mvn 121 pooling 122 power 123 relu 124 sigmoid 125 softmax 126 slice "
        "127 tanh 128 threshold 129 window_data 130 python 131 prelu 132 spp 133 reshape 134 log 135 flatten 136 reduction "
        "137 embed 138 tile 139 batch_norm 140 elu 141 bias 142 scale 143 input 144 crop 145 parameter 146 recurrent "
        "147 swish 148 clip"
    ),
    "V1LayerParameter": (
        "9 concat 10 convolution 11 data 12 dropout 13 hdf5_data 14 hdf5_output 15 image_data 16 infogain_loss 17 inner_product "
        "18 lrn 19 pooling 20 window_data 21 power 22 memory_data 23 argmax 24 eltwise 25 threshold 26 dummy_data 27 accuracy "
        "29 hinge_loss 30 relu 31 slice 34 mvn 36 transform 37 tanh 38 sigmoid 39 softmax 40 contrastive_loss 41 exp 42 loss"
    ),
}

MESSAGES = {
    "BlobShape": "1 dim int64**",
    "BlobProto": (
        "1 num int64, 2 channels int64, 3 height int64, 4 width int64, 5 data float**, 6 diff float**, 7 shape BlobShape, "
        "8 double_data double**, 9 double_diff double**"
    ),
    "NetParameter": (
        "1 name string, 2 layers V1LayerParameter*, 3 input string*, 4 input_dim int64*, 5 force_backward bool, "
        "6 state NetState, 7 debug_info bool, 8 input_shape BlobShape*, 100 layer LayerParameter*"
    ),
    "NetState": "1 phase Phase, 2 level int32, 3 stage string*",
    "NetStateRule": "1 phase Phase, 2 min_level int32, 3 max_level int32, 4 stage string*, 5 not_stage string*",
    "ParamSpec": "1 name string, 2 share_mode ParamSpec.DimCheckMode, 3 lr_mult float, 4 decay_mult float",
    "LayerParameter": (
        "1 name string, 2 type string, 3 bottom string*, 4 top string*, 5 loss_weight float*, 6 param ParamSpec*, "
        "7 blobs BlobProto*, 8 include NetStateRule*, 9 exclude NetStateRule*, 10 phase Phase, 11 propagate_down bool*"
    ),
    "V1LayerParameter": (
        "1 layer V0LayerParameter, 2 bottom string*, 3 top string*, 4 name string, 5 type V1LayerParameter.LayerType, "
        "6 blobs BlobProto*, 7 blobs_lr float*, 8 weight_decay float*, 32 include NetStateRule*, 33 exclude NetStateRule*, "
        "35 loss_weight float*, 1001 param string*, 1002 blob_share_mode ParamSpec.DimCheckMode*"
    ),
    "V0LayerParameter": (
        "1 name string, 2 type string, 3 num_output uint32, 4 biasterm bool, 5 weight_filler FillerParameter, "
        "6 bias_filler FillerParameter, 7 pad uint32, 8 kernelsize uint32, 9 group uint32, 10 stride uint32, "
        "11 pool PoolingParameter.PoolMethod, 12 dropout_ratio float, 13 local_size uint32, 14 alpha float, 15 beta float, "
        "16 source string, 17 scale float, 18 meanfile string, 19 batchsize uint32, 20 cropsize uint32, 21 mirror bool, "
        "22 k float, 50 blobs BlobProto*, 51 blobs_lr float*, 52 weight_decay float*, 53 rand_skip uint32, "
        "54 det_fg_threshold float, 55 det_bg_threshold float, 56 det_fg_fraction float, 58 det_context_pad uint32, "
        "59 det_crop_mode string, 60 new_num int32, 61 new_channels int32, 62 new_height int32, 63 new_width int32, "
        "64 shuffle_images bool, 65 concat_dim uint32, 1001 hdf5_output_param HDF5OutputParameter"
    ),
    "FillerParameter": (
        "1 type string, 2 value float, 3 min float, 4 max float, 5 mean float, 6 std float, 7 sparse int32, "
        "8 variance_norm FillerParameter.VarianceNorm"
    ),
    "TransformationParameter": (
        "1 scale float, 2 mirror bool, 3 crop_size uint32, 4 mean_file string, 5 mean_value float*, 6 force_color bool, "
        "7 force_gray bool"
    ),
    "LossParameter": "1 ignore_label int32, 2 normalize bool, 3 normalization LossParameter.NormalizationMode",
    "AccuracyParameter": "1 top_k uint32, 2 axis int32, 3 ignore_label int32",
    "ArgMaxParameter": "1 out_max_val bool, 2 top_k uint32, 3 axis int32",
    "BatchNormParameter": "1 use_global_stats bool, 2 moving_average_fraction float, 3 eps float",
    "BiasParameter": "1 axis int32, 2 num_axes int32, 3 filler FillerParameter",
    "ClipParameter": "1 min float, 2 max float",
    "ConcatParameter": "1 concat_dim uint32, 2 axis int32",
    "ContrastiveLossParameter": "1 margin float, 2 legacy_version bool",
    "ConvolutionParameter": (
        "1 num_output uint32, 2 bias_term bool, 3 pad uint32*, 4 kernel_size uint32*, 5 group uint32, 6 stride uint32*, "
        "7 weight_filler FillerParameter, 8 bias_filler FillerParameter, 9 pad_h uint32, 10 pad_w uint32, 11 kernel_h uint32, "
        "12 kernel_w uint32, 13 stride_h uint32, 14 stride_w uint32, 15 engine ConvolutionParameter.Engine, 16 axis int32, "
        "17 force_nd_im2col bool, 18 dilation uint32*"
    ),
    "CropParameter": "1 axis int32, 2 offset uint32*",
    "DataParameter": (
        "1 source string, 2 scale float, 3 mean_file string, 4 batch_size uint32, 5 crop_size uint32, 6 mirror bool, "
        "7 rand_skip uint32, 8 backend DataParameter.DB, 9 force_encoded_color bool, 10 prefetch uint32"
    ),
    "DropoutParameter": "1 dropout_ratio float, 2 scale_train bool",
    "DummyDataParameter": (
        "1 data_filler FillerParameter*, 2 num uint32*, 3 channels uint32*, 4 height uint32*, 5 width uint32*, 6 shape BlobShape*"
    ),
    "EltwiseParameter": "1 operation EltwiseParameter.EltwiseOp, 2 coeff float*, 3 stable_prod_grad bool",
    "ELUParameter": "1 alpha float",
    "EmbedParameter": (
        "1 num_output uint32, 2 input_dim uint32, 3 bias_term bool, 4 weight_filler FillerParameter, "
        "5 bias_filler FillerParameter"
    ),
    "ExpParameter": "1 base float, 2 scale float, 3 shift float",
    "FlattenParameter": "1 axis int32, 2 end_axis int32",
    "HDF5DataParameter": "1 source string, 2 batch_size uint32, 3 shuffle bool",
    "HDF5OutputParameter": "1 file_name string",
    "HingeLossParameter": "1 norm HingeLossParameter.Norm",
    "ImageDataParameter": (
        "1 source string, 2 scale float, 3 mean_file string, 4 batch_size uint32, 5 crop_size uint32, 6 mirror bool, "
        "7 rand_skip uint32, 8 shuffle bool, 9 new_height uint32, 10 new_width uint32, 11 is_color bool, 12 root_folder string"
    ),
    "InfogainLossParameter": "1 source string, 2 axis int32",
    "InnerProductParameter": (
        "1 num_output uint32, 2 bias_term bool, 3 weight_filler FillerParameter, 4 bias_filler FillerParameter, 5 axis int32, "
        "6 transpose bool"
    ),
    "InputParameter": "1 shape BlobShape*",
    "LogParameter": "1 base float, 2 scale float, 3 shift float",
    "LRNParameter": (
        "1 local_size uint32, 2 alpha float, 3 beta float, 4 norm_region LRNParameter.NormRegion, 5 k float, "
        "6 engine ConvolutionParameter.Engine"
    ),
    "MemoryDataParameter": "1 batch_size uint32, 2 channels uint32, 3 height uint32, 4 width uint32",
    "MVNParameter": "1 normalize_variance bool, 2 across_channels bool, 3 eps float",
    "ParameterParameter": "1 shape BlobShape",
    "PoolingParameter": (
        "1 pool PoolingParameter.PoolMethod, 2 kernel_size uint32, 3 stride uint32, 4 pad uint32, 5 kernel_h uint32, "
        "6 kernel_w uint32, 7 stride_h uint32, 8 stride_w uint32, 9 pad_h uint32, 10 pad_w uint32, "
        "11 engine ConvolutionParameter.Engine, 12 global_pooling bool, 13 round_mode PoolingParameter.RoundMode, "
        "1000 ceil_mode bool"  # 13 in forks, which text files name and weight files do not hold
    ),
    "PowerParameter": "1 power float, 2 scale float, 3 shift float",
    "PReLUParameter": "1 filler FillerParameter, 2 channel_shared bool",
    "PythonParameter": "1 module string, 2 layer string, 3 param_str string, 4 share_in_parallel bool",
    "RecurrentParameter": (
        "1 num_output uint32, 2 weight_filler FillerParameter, 3 bias_filler FillerParameter, 4 debug_info bool, "
        "5 expose_hidden bool"
    ),
    "ReductionParameter": "1 operation ReductionParameter.ReductionOp, 2 axis int32, 3 coeff float",
    "ReLUParameter": "1 negative_slope float, 2 engine ConvolutionParameter.Engine",
    "ReshapeParameter": "1 shape BlobShape, 2 axis int32, 3 num_axes int32",
    "ScaleParameter": (
        "1 axis int32, 2 num_axes int32, 3 filler FillerParameter, 4 bias_term bool, 5 bias_filler FillerParameter"
    ),
    "SigmoidParameter": "1 engine ConvolutionParameter.Engine",
    "SliceParameter": "1 slice_dim uint32, 2 slice_point uint32*, 3 axis int32",
    "SoftmaxParameter": "1 engine ConvolutionParameter.Engine, 2 axis int32",
    "SPPParameter": "1 pyramid_height uint32, 2 pool PoolingParameter.PoolMethod, 6 engine ConvolutionParameter.Engine",
    "SwishParameter": "1 beta float",
    "TanHParameter": "1 engine ConvolutionParameter.Engine",
    "ThresholdParameter": "1 threshold float",
    "TileParameter": "1 axis int32, 2 tiles int32",
    "WindowDataParameter": (
        "1 source string, 2 scale float, 3 mean_file string, 4 batch_size uint32, 5 crop_size uint32, 6 mirror bool, "
        "7 fg_threshold float, 8 bg_threshold float, 9 fg_fraction float, 10 context_pad uint32, 11 crop_mode string, "
        "12 cache_images bool, 13 root_folder string"
    ),
}  # fmt: skip
