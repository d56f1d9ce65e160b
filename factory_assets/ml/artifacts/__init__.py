"""The files of a trained model: weights, calibration, ONNX graph."""
