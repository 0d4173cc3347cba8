/* The arithmetic of one call, number by number: what minicnn.explain(...).to_json() gives in
 * Python, made here from the settings of the page. Images are (1,H,W,C), kernels (KH,KW,C/groups,F)
 * and of a transposed convolution (KH,KW,F/groups,C). Needs geometry.js, and no document.
 *
 * minicnnArithmetic.explain(settings) returns {explanation, geometry}, or {error, fitting, told}
 * with Python's sentence that says what does not fit, changes of the settings after which it does,
 * and the sentence that the page shows. Settings:
 *
 *     operation        "conv2d", "conv2d_transpose", "max_pool2d", "average_pool2d", "upsample2d"
 *     input            {shape: [1,H,W,C], values: [...]}, in row-major order
 *     strides          [height, width]
 *     padding          "valid", "same" or [[top, bottom], [left, right]]
 *     dy               the gradient with respect to the result, default ones
 *     max_terms        how many products a record may show, default 20,000
 *   of convolutions
 *     kernel, bias     {shape, values}; [...] or null
 *     dilation         [height, width]
 *     groups           a number
 *     turned           whether the kernel is first turned by 180 degrees (conv2d)
 *     output_padding   [height, width] or null (conv2d_transpose)
 *   of the others
 *     pool_size        [height, width]
 *     size             [height, width], with interpolation: "nearest" or "bilinear"
 */
"use strict";

const minicnnArithmetic = (() => {
  const { Misfit } = minicnnGeometry;
  const { explainConvolution } = minicnnConvolution;
  const { explainPooling, explainUpsampling } = minicnnPooling;

  const OPERATIONS = {
    conv2d: explainConvolution,
    conv2d_transpose: explainConvolution,
    max_pool2d: explainPooling,
    average_pool2d: explainPooling,
    upsample2d: explainUpsampling,
  };

  /** The arithmetic of a call: {explanation, geometry}; {error, fitting} where sizes do not fit. */
  function explain(settings) {
    try {
      return OPERATIONS[settings.operation](settings);
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      return { error: error.message, fitting: error.fitting, told: error.told ?? error.message };
    }
  }

  return { explain };
})();
