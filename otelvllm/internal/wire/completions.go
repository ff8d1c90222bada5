package wire

// Text completions: POST /v1/completions. The index of a choice counts through all prompts of the request.

var completionRequest = requestSchema(streamParameters, samplingParameters)

var completionBody = answerSchema(generationUsage, choicesOf(nil))

var completionEvent = answerSchema(generationUsage, choicesOf(completionText))

// completionText is what of a choice a completion's event brings.
var completionText = []member[answer]{{"text", textNode(contentText)}}
