# The kernel files, one name a line: nvcc makes the backend module of them (kernels/cuda/CMakeLists.txt), the host's
# compiler the emulated one (tests/simt/CMakeLists.txt).
set(mbk_cuda_kernels
    attention.cu
    attention_grad.cu
    conv.cu
    conv_grad.cu
    draw.cu
    grad.cu
    loss.cu
    norm.cu
    rows.cu
    scan.cu
    scan_grad.cu
    ssd.cu
    ssd_block.cu
    ssd_grad.cu
    train.cu
    weight.cu
)
