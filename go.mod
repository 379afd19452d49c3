module dynamod

go 1.26
