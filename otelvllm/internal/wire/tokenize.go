package wire

// Tokenizing: POST /tokenize and /detokenize. No engine works for it, so there is no usage: the count of /tokenize is of
// a prompt that was not sent.

var tokenizeBody = answerSchema()
