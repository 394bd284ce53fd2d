//! What a broker holds, read back for assertions.
