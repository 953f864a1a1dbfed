== words
$ mambaseq version
> mambaseq {version}
> ~  compiler      *
> ...
> ~  libraries     libyaml *json-c *glibc *
> ~  plugin abi    1.*
> ~  kernels       *
> ~  usable here   ref*
> ~  cuda backend  *
> ~  threads       *
> ~  share         {build}/share/mambaseq
> ~  plugins       {build}/*
$ MAMBASEQ_CPU=ref mambaseq version | grep kernels
>   kernels       ref

== a backend, found and not loaded
$ mkdir p && echo rubbish >p/mambaseq-cuda.so && MAMBASEQ_PLUGIN_PATH=$PWD/p mambaseq version | grep "cuda backend"
>   cuda backend  {here}/p/mambaseq-cuda.so

== a level that is not there
$ MAMBASEQ_CPU=avx9000 mambaseq version | grep kernels
>   kernels       none
! mambaseq: warning: MAMBASEQ_CPU names a kernel level that is not usable here: runs will refuse it

== JSON
$ MAMBASEQ_CPU=ref mambaseq version --json | $PYTHON -c 'import json, sys; v = json.load(sys.stdin); print(v["version"], v["kernels"], v["usable_here"][0], type(v["threads"]).__name__)'
> {version} ref ref int

== no plugin is opened
$ mkdir p && echo rubbish >p/mbsp_x.so && MAMBASEQ_PLUGIN_PATH={here}/p mambaseq version | head -n 1
> mambaseq {version}
