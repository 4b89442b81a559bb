"""ONNX models as plain Python values: the only door to ``onnx`` and ``onnx_ir``."""
