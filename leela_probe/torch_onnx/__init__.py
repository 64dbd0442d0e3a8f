"""The engine: an ONNX file run node by node in torch. It knows no chess."""
