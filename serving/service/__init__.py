"""The HTTP service of `rasd serve`. Only `serving.commands` imports it.

One process speaks HTTP and holds the queue; each worker is a process of its own at the end of a
pipe. `app` puts the HTTP process together and `command` starts it.

The path of a request from its handler to the ONNX session, 8 hops from object to object (private
helpers of the same object are not counted):

1. the handler in `routes` calls `Pool.score`, which queues the request and batches small ones
2. `Worker.give` (worker_handle): the worker's thread sends the batch through the pipe
3. `PipeLoop.run` (litserve_api), in the worker process, receives it
4. `LabelAPI.predict` (litserve_api) splits the documents and makes the answers
5. `serving.labelling.label` makes records of the sentences, 64 at a time
6. `Classifier.classify` normalises, tokenises and calibrates
7. `OnnxModel.logits` makes micro-batches of similar length and runs them on its threads
8. `InferenceSession.run` of ONNX Runtime

Before the handler come the middlewares: Observe, Gate, Intake.
"""
