//! What is left, and named in the README: a worker frozen between the gate and the kernel's send.

crate::cases! {}
